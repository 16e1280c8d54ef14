//! The names of functions as their programmers wrote them.

use crate::model::Name;
use crate::panics;

/// The most bytes of a name that is demangled, and of the result. C++ repeats its types in a name.
const LENGTH_MAX: usize = 4096;
/// How deep a C++ name may be nested.
const DEPTH_MAX: u32 = 64;

/// The name that a Rust or C++ compiler encoded; any other as it is.
pub(super) fn demangled(name: &[u8]) -> Name {
    let plain = || Name::new(name);
    let Ok(text) = std::str::from_utf8(name) else {
        return plain();
    };
    if text.len() > LENGTH_MAX {
        return plain();
    }
    let demangled = rust(text).or_else(|| cpp(text));
    demangled.map_or_else(plain, |text| Name::new(text.into_bytes()))
}

fn rust(text: &str) -> Option<String> {
    if !text.starts_with("_R") && !text.starts_with("_ZN") {
        return None;
    }
    panics::caught(|| {
        let name = rustc_demangle::try_demangle(text).ok()?;
        let mut capped = Capped(String::new());
        // Without the hash.
        std::fmt::write(&mut capped, format_args!("{name:#}")).ok()?;
        Some(capped.0)
    })?
}

fn cpp(text: &str) -> Option<String> {
    if !text.starts_with("_Z") {
        return None;
    }
    panics::caught(|| {
        let parse = cpp_demangle::ParseOptions::default().recursion_limit(DEPTH_MAX);
        let symbol = cpp_demangle::Symbol::new_with_options(text, &parse).ok()?;
        let options = cpp_demangle::DemangleOptions::new().recursion_limit(DEPTH_MAX);
        let mut capped = Capped(String::new());
        symbol.structured_demangle(&mut capped, &options).ok()?;
        Some(capped.0)
    })?
}

/// A text that is an error once it is too long.
struct Capped(String);

impl std::fmt::Write for Capped {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        if self.0.len() + text.len() > LENGTH_MAX {
            return Err(std::fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> String {
        demangled(name.as_bytes()).to_string()
    }

    #[test]
    fn names_are_as_they_were_written() {
        let known = [
            ("recv", "recv"),
            ("_ZN3app5query17h0123456789abcdefE", "app::query"),
            (
                "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE",
                "core::ptr::drop_in_place<alloc::string::String>",
            ),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            (
                "_ZN5store9load_userERKSs",
                "store::load_user(std::string const&)",
            ),
            ("_Zwhat is this", "_Zwhat is this"),
        ];
        for (mangled, expected) in known {
            assert_eq!(of(mangled), expected);
        }
    }

    #[test]
    fn names_that_are_no_text_or_never_end_stay_as_they_are() {
        assert_eq!(demangled(b"\xff\xfe").bytes(), b"\xff\xfe");
        let long = format!("_Z{}", "N1a".repeat(100_000));
        assert_eq!(demangled(long.as_bytes()).bytes(), long.as_bytes());
        let deep = format!("_Z1f{}i", "P".repeat(4000));
        assert_eq!(of(&deep), deep);
        // Each type refers to all before it, which doubles the result.
        let twice = format!("_Z1fSt4pairIS_S_ES0_{}", "S_IS0_S0_E".repeat(300));
        assert!(of(&twice).len() <= LENGTH_MAX);
    }
}
