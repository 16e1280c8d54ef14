//! Every closewait command in the documents is valid, and the recording behind the picture can be read.

use std::path::{Path, PathBuf};

use closewait::command::Command;

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md"];
    let mut found: Vec<PathBuf> = pages.map(|page| root.join(page)).into();
    let files = |dir: &str| {
        let entries = std::fs::read_dir(root.join(dir)).unwrap();
        entries.map(|entry| entry.unwrap().path())
    };
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    found.extend(files("docs").filter(is_page));
    found.extend(files("docs/examples"));
    found
}

/// The words of a shell command from `closewait` on, up to its end.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut is_word = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '\'' | '"') => (quote, is_word) = (Some(c), true),
            (None, '|' | '>' | '&' | ';' | ')' | '`' | '#') => break,
            // A bar in a table.
            (None, '\\') => break,
            (None, ' ') if is_word => {
                words.push(std::mem::take(&mut word));
                is_word = false;
            }
            (None, ' ') => {}
            (None, c) => {
                word.push(c);
                is_word = true;
            }
        }
    }
    // An open quote was opened earlier: the command is an argument of another one.
    if is_word {
        words.push(word);
    }
    words
}

/// The commands of a document: lines of code that call the tool, and inline code that starts with its
/// name.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut in_code = true;
    let mut commands = Vec::new();
    let is_markdown = text.contains("```");
    if is_markdown {
        in_code = false;
    }
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if !in_code {
            let spans = line.split('`').skip(1).step_by(2);
            let calls = spans.filter(|code| code.starts_with("closewait "));
            commands.extend(calls.map(words));
            continue;
        }
        if line.trim_start().starts_with(['#', '-']) && is_markdown {
            continue;
        }
        for (at, _) in line.match_indices("closewait ") {
            let before = line[..at].chars().next_back();
            let is_called = before.is_none_or(|c| matches!(c, ' ' | '/' | '\'' | '"' | '='));
            // The end of a quotation that began earlier ends the command.
            let mut rest = &line[at..];
            for quote in ['\'', '"'] {
                if line[..at].matches(quote).count() % 2 == 1 {
                    rest = rest.split(quote).next().unwrap();
                }
            }
            let command = words(rest);
            let is_path = command
                .get(1)
                .is_some_and(|word| word.contains('=') || word.ends_with(':'));
            if is_called && !is_path && command.len() > 1 {
                commands.push(command);
            }
        }
    }
    commands
}

#[test]
fn every_command_in_the_documents_is_valid() {
    let mut seen = 0;
    let mut refused = Vec::new();
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for mut command in commands(&text) {
            let prose = ["on", "of", "diff of", "CRITICAL"];
            let is_prose = |word: &String| prose.contains(&word.as_str());
            if command.get(1).is_some_and(is_prose)
                || command.get(2).is_some_and(|word| word == "of")
            {
                continue;
            }
            for word in &mut command {
                // Macros of Nagios, and placeholders.
                *word = word
                    .replace("$ARG1$", "-v")
                    .replace("PID", "1")
                    .replace("CAUSE", "unclear");
            }
            seen += 1;
            // Help and the version are an "error" too, but not for stderr.
            if let Some(error) = Command::read(&command)
                .err()
                .filter(|error| error.use_stderr())
            {
                let error = error.to_string();
                let first = error.lines().next().unwrap_or_default().to_owned();
                refused.push(format!("{}: {command:?}: {first}", path.display()));
            }
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_recording_of_the_picture_shows_its_leak() {
    let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/incident.cw");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_closewait"))
        .env("LC_ALL", "C.UTF-8")
        .arg("--from")
        .arg(recording)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("CRITICAL never-closed"), "{text}");
}

/// The commands, links and headings of a README: what is the same in every language. Comments of the shell
/// are not.
fn skeleton(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code {
            let command = line.split("  #").next().unwrap_or_default();
            parts.push(command.trim_end().to_owned());
        } else if line.starts_with('|') {
            let spans = line.split('`').skip(1).step_by(2);
            parts.extend(spans.map(str::to_owned));
        } else if line.starts_with("## ") {
            parts.push("##".to_owned());
        } else if let Some((_, link)) = line.split_once("](") {
            parts.push(link.split(')').next().unwrap_or_default().to_owned());
        }
    }
    parts
}

#[test]
fn the_chinese_readme_has_the_commands_links_and_headings_of_the_english_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |page: &str| std::fs::read_to_string(root.join(page)).unwrap();
    let (english, chinese) = (read("README.md"), read("README.zh-CN.md"));
    let (start, end) = (
        chinese.find("## 缘起").unwrap(),
        chinese.find("## 安装").unwrap(),
    );
    // Where the tool comes from is told there alone.
    let shared = format!("{}{}", &chinese[..start], &chinese[end..]);
    let of = |text: &str| {
        let mut parts = skeleton(text);
        // The link to the other language.
        parts.retain(|part| !part.starts_with("README"));
        parts
    };
    assert_eq!(of(&shared), of(&english));
}
