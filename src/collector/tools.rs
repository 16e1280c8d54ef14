//! Which tools a shell would find in `PATH`.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{file, watchdog};
use crate::model::{Tool, Tools};

/// The tools in `PATH`; `None` if it is not set.
pub(super) fn present() -> Option<Tools> {
    let path = env::var_os("PATH")?;
    let places: Vec<PathBuf> = env::split_paths(&path)
        .filter(|place| place.is_absolute())
        .collect();
    let is_present = move |tool: &Tool| {
        let mut files = places.iter().map(|place| place.join(tool.name()));
        files.any(|file| is_program(&file))
    };
    let find = move || Ok(Tools::new(Tool::ALL.into_iter().filter(is_present)));
    watchdog::with_timeout(find).ok()
}

/// The path of this program; `None` if unknown, or not UTF-8.
pub(super) fn this() -> Option<String> {
    env::current_exe().ok()?.into_os_string().into_string().ok()
}

/// Whether it is an executable file.
pub(super) fn is_program(file: &Path) -> bool {
    file::metadata(file)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_text_are_no_programs() {
        assert!(is_program(&env::current_exe().unwrap()));
        assert!(!is_program(Path::new("/etc/passwd")));
        assert!(!is_program(Path::new("/etc")));
        assert!(!is_program(Path::new("/nowhere/at/all")));
    }

    #[test]
    fn what_a_shell_finds_is_found() {
        let tools = present().expect("PATH is set");
        for tool in Tool::ALL {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &format!("command -v {} >/dev/null", tool.name())]);
            let found = shell.status().unwrap().success();
            assert_eq!(tools.has(tool), found, "{}", tool.name());
        }
    }
}
