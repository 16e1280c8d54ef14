//! Which columns are narrowed on a narrow terminal, and by how much.

use super::{Column, Cut, Narrow, Rows, When};

/// A column as it is shown.
#[derive(Clone)]
pub(super) struct Shown {
    /// Its position among all columns.
    pub(super) at: usize,
    pub(super) width: usize,
    /// How its cells may be cut.
    pub(super) cut: Option<Cut>,
}

impl Shown {
    pub(super) fn new(at: usize, width: usize) -> Shown {
        let cut = None;
        Shown { at, width, cut }
    }

    /// The fewest columns that it can have.
    pub(super) fn least(&self) -> usize {
        self.cut.map_or(self.width, |cut| cut.least.min(self.width))
    }
}

/// What a narrow terminal does not show.
#[derive(Default)]
pub(super) struct Narrowed {
    /// Columns that are not shown, with the cell of all rows if they have the same.
    pub(super) dropped: Vec<(usize, Option<String>)>,
    /// Columns whose cells are cut.
    pub(super) cut: Vec<usize>,
}

/// Narrows columns, step by step, until lines have at most `most` columns. Returns those that are
/// shown. If even all steps do not suffice, everything is shown and the terminal wraps the lines.
pub(super) fn fit<R: Rows>(
    rows: &R,
    columns: &[Column],
    widths: &[usize],
    whole: Vec<Shown>,
    most: usize,
) -> (Vec<Shown>, Narrowed) {
    let mut shown: Vec<Option<Shown>> = whole.iter().cloned().map(Some).collect();
    let mut dropped = Vec::new();
    let all = whole.iter().enumerate().flat_map(|(position, shown)| {
        let steps = columns[shown.at].steps.iter();
        steps.map(move |step| (position, shown.at, *step))
    });
    let mut steps: Vec<_> = all.collect();
    steps.sort_by_key(|(.., step)| step.rank);
    let mut last_cut = None;
    for (position, at, step) in steps {
        // Cuts of one rank are made together.
        let is_joined = matches!(step.narrow, Narrow::Cut(_)) && last_cut == Some(step.rank);
        if over(&shown, most, Shown::least) == 0 && !is_joined {
            break;
        }
        if shown[position].as_ref().is_none_or(|shown| shown.at != at) {
            continue;
        }
        let value = match step.when {
            When::Always => None,
            When::Alike(column) => match rows.common(column) {
                // Dropped by what another column has in common, its own cells may differ.
                Some(_) if column != at && matches!(step.narrow, Narrow::Drop) => None,
                Some(cell) => Some(cell),
                None => continue,
            },
            When::Empty => match rows.common(at) {
                Some(cell) if cell == "-" => Some(cell),
                _ => continue,
            },
        };
        match step.narrow {
            Narrow::Drop => {
                shown[position] = None;
                dropped.push((position, value));
            }
            Narrow::Replace(spare) if widths[spare] < widths[at] => {
                shown[position] = Some(Shown::new(spare, widths[spare]));
                dropped.push((position, value));
            }
            Narrow::Replace(_) => {}
            Narrow::Cut(cut) => {
                if let Some(shown) = &mut shown[position] {
                    shown.cut = Some(cut);
                }
                last_cut = Some(step.rank);
            }
        }
    }
    if over(&shown, most, Shown::least) > 0 {
        return (whole, Narrowed::default());
    }
    restore(&whole, &mut shown, &mut dropped, most);
    shorten(&mut shown, most);
    let shown: Vec<Shown> = shown.into_iter().flatten().collect();
    let is_cut = |shown: &&Shown| shown.width < widths[shown.at];
    let narrowed = Narrowed {
        dropped: dropped
            .into_iter()
            .map(|(position, value)| (whole[position].at, value))
            .collect(),
        cut: shown.iter().filter(is_cut).map(|shown| shown.at).collect(),
    };
    (shown, narrowed)
}

/// Shows again what a later step made room for.
fn restore(
    whole: &[Shown],
    shown: &mut [Option<Shown>],
    dropped: &mut Vec<(usize, Option<String>)>,
    most: usize,
) {
    for at in (0..dropped.len()).rev() {
        let position = dropped[at].0;
        let narrow = shown[position].replace(whole[position].clone());
        if over(shown, most, |shown| shown.width) == 0 {
            dropped.remove(at);
        } else {
            shown[position] = narrow;
        }
    }
}

/// Takes from the widest of the columns that may be cut.
fn shorten(shown: &mut [Option<Shown>], most: usize) {
    while over(shown, most, |shown| shown.width) > 0 {
        let cuttable = shown.iter_mut().flatten();
        let cuttable = cuttable.filter(|shown| shown.width > shown.least());
        let Some(widest) = cuttable.max_by_key(|shown| shown.width) else {
            break;
        };
        widest.width -= 1;
    }
}

/// By how many columns lines are too long.
fn over(shown: &[Option<Shown>], most: usize, width: fn(&Shown) -> usize) -> usize {
    let widths = shown.iter().flatten().map(width);
    let (count, sum) = widths.fold((0_usize, 0), |(count, sum), width| (count + 1, sum + width));
    (sum + count.saturating_sub(1)).saturating_sub(most)
}
