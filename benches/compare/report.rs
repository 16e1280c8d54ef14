//! What the benchmark prints: the setting, what each command saw, and the table of costs.

use crate::floor::Tally;
use crate::measure::{Contender, Sample};
use crate::namespace::Isolation;
use crate::options::Options;
use crate::workload::Plan;
use std::time::Duration;

/// What `closewait list` sets out to cost on the default workload.
const LIST_TARGET: &str = "target: list <= 1.5 x floor, <= 64 MiB";

/// One line of the setting.
pub fn note(what: &str, text: &str) {
    println!("{what:<9} {text}");
}

pub fn host(isolation: &Isolation) {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let network = match isolation {
        Isolation::Own => "in a network namespace of its own".to_owned(),
        Isolation::Shared(reason) => format!(
            "on this host's own loopback, with whatever else is there, as no namespace could be \
             made ({reason})"
        ),
    };
    note(
        "host",
        &format!("Linux {}, {cores} processors, {network}", release.trim()),
    );
}

pub fn workload(plan: &Plan, took: Duration) {
    let expected = plan.expected();
    let processes = plan.shares.len() as u64;
    note(
        "workload",
        &format!(
            "{} sockets and a listener each in {processes} processes, {} in CLOSE_WAIT; made in {}",
            grouped(expected.sockets - processes),
            grouped(expected.close_wait),
            seconds(took)
        ),
    );
}

pub fn floor(seen: &Tally) {
    let mut text = format!(
        "floor: {} sockets, {} in CLOSE_WAIT; {} files of {} processes, {} of them sockets",
        grouped(seen.sockets),
        grouped(seen.close_wait),
        grouped(seen.files),
        grouped(seen.processes),
        grouped(seen.socket_files)
    );
    if seen.refused > 0 {
        text += &format!("; {} processes not readable", grouped(seen.refused));
    }
    note("check", &text);
}

pub fn warm_up(contender: &Contender, argv: &[String], warm: &Sample) {
    let shown = if argv == contender.argv {
        contender.name.clone()
    } else {
        argv.join(" ")
    };
    let mut text = format!("{shown}: {} lines", grouped(warm.lines));
    if warm.exit_code != 0 {
        text += &format!(", exit code {}", warm.exit_code);
    }
    if warm.lines == 0 {
        text += " (it printed nothing, so its costs below mean nothing)";
    }
    note("check", &text);
}

/// The table: medians of each command, and the ratio of its wall time to the floor's (and, on a
/// quiet host, to ss's), taken round by round.
pub fn table(options: &Options, contenders: &[Contender], samples: &[Vec<Sample>]) {
    let place = |name: &str| contenders.iter().position(|c| c.name == name);
    let floor = &samples[0];
    let ss = place("ss -tanp").filter(|_| options.quiet_host);

    let mut rows = vec![vec![
        "command".to_owned(),
        "runs".into(),
        "wall".into(),
        "cpu".into(),
        "peak RSS".into(),
        "wall / floor (range)".into(),
        "cpu / floor".into(),
    ]];
    if ss.is_some() {
        rows[0].push("wall / ss (range)".into());
    }
    for (contender, taken) in contenders.iter().zip(samples) {
        let peak = median(taken.iter().map(|s| s.peak_kib as f64));
        let mut row = vec![
            contender.name.clone(),
            taken.len().to_string(),
            seconds(middle(taken, |s| s.wall)),
            seconds(middle(taken, |s| s.cpu)),
            format!("{:.1} MiB", peak / 1024.0),
            spread(&ratios(taken, floor, |s| s.wall)),
            times(median(ratios(taken, floor, |s| s.cpu).into_iter())),
        ];
        if let Some(ss) = ss {
            row.push(spread(&ratios(taken, &samples[ss], |s| s.wall)));
        }
        rows.push(row);
    }
    println!();
    print_aligned(&rows);
    println!();
    println!("Medians. Ratios are taken within each round, between neighbours in time.");
    if !options.quiet_host {
        println!("{LIST_TARGET} (at 200,000 sockets in 11 processes)");
    }
    for (contender, taken) in contenders.iter().zip(samples) {
        if let Some(failed) = taken.iter().find(|s| s.exit_code != 0) {
            println!("{}: exit code {}", contender.name, failed.exit_code);
        }
    }
}

fn middle(samples: &[Sample], cost: fn(&Sample) -> Duration) -> Duration {
    Duration::from_secs_f64(median(samples.iter().map(|s| cost(s).as_secs_f64())))
}

/// A command's cost over the base's, for the rounds in which both ran. A cost below the clock's
/// resolution is taken as one microsecond.
fn ratios(samples: &[Sample], base: &[Sample], cost: fn(&Sample) -> Duration) -> Vec<f64> {
    let micros = |sample: &Sample| cost(sample).as_micros().max(1) as f64;
    samples
        .iter()
        .zip(base)
        .map(|(sample, base)| micros(sample) / micros(base))
        .collect()
}

/// The middle value, or the mean of the middle two; 0 for none.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// "1.23 (1.20-1.31)": the median and the extremes.
fn spread(ratios: &[f64]) -> String {
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(0.0, f64::max);
    let middle = times(median(ratios.iter().copied()));
    if times(low) == times(high) {
        return middle;
    }
    format!("{middle} ({}-{})", times(low), times(high))
}

fn times(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else {
        format!("{ratio:.1}")
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{:.2} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{:.3} s", time.as_secs_f64())
    }
}

/// 200000 as 200,000.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Columns as wide as their widest cell: the first to the left, numbers to the right.
fn print_aligned(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                line += &format!("{cell:<width$}");
            } else {
                line += &format!("  {cell:>width$}");
            }
        }
        println!("{}", line.trim_end());
    }
}
