//! The lines of proc_pid_mountinfo(5): `36 35 0:4 ROOT MOUNT_POINT … - TYPE SOURCE OPTIONS`.

/// A line of proc_pid_mountinfo(5).
pub(super) struct MountLine<'a> {
    /// Which directory of the file system is mounted.
    pub(super) root: &'a [u8],
    /// The mount point, with `\040` for a space.
    pub(super) at: &'a [u8],
    /// The options of the superblock.
    pub(super) options: &'a [u8],
}

impl MountLine<'_> {
    pub(super) fn of(line: &[u8]) -> Option<MountLine<'_>> {
        let mut fields = line.split(|byte| *byte == b' ');
        Some(MountLine {
            root: fields.nth(3)?,
            at: fields.next()?,
            options: fields.next_back().unwrap_or_default(),
        })
    }
}

/// A path with its escapes such as `\040` undone (`fs/seq_file.c`, `mangle_path`).
pub(super) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .filter(|digits| digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                path.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                path.push(*first);
                rest = after;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backslash_without_three_digits_is_itself() {
        assert_eq!(unescaped(b"a\\"), b"a\\");
        assert_eq!(unescaped(b"\\04"), b"\\04");
        assert_eq!(unescaped(b"\\777x"), b"\\777x");
        assert_eq!(unescaped(b"\\+12"), b"\\+12");
    }
}
