//! What text may stand in a path or URL path, so that no tool behind us reads
//! another place out of it than we do.

/// Whether `c` may stand in a path.
///
/// SECURITY: of ASCII all that is printable but `\` (a separator elsewhere)
/// and `%` (an escape elsewhere). Beyond ASCII only letters, digits and
/// combining diacritics: no compatibility form of `.`, `/`, `\` or `%` is one
/// of these (they are punctuation or symbols), nor are control, zero-width and
/// bidirectional characters.
pub(super) fn is_path_char(c: char) -> bool {
    if c.is_ascii() { matches!(c, ' '..='~') && c != '\\' && c != '%' } else { is_word_char(c) }
}

/// Whether a character beyond ASCII is a letter, digit or combining diacritic
/// that can be seen.
pub(super) fn is_word_char(c: char) -> bool {
    let invisible = matches!(c, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}');
    !invisible && (c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}'))
}

/// Whether `path` is an absolute path that can be read in one way only: no
/// empty segment (so no `//` and no `/` at the end), none that is `.` or
/// begins with `..`, none that ends in a dot (dropped by some systems) or has
/// a space at either end.
pub(super) fn is_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    path.len() <= 4096
        && rest.chars().all(is_path_char)
        && (rest.is_empty() || rest.split('/').all(is_segment))
}

fn is_segment(segment: &str) -> bool {
    !segment.is_empty()
        && !segment.starts_with("..")
        && !segment.ends_with('.')
        && !segment.starts_with(' ')
        && !segment.ends_with(' ')
}

/// Whether `path` is `root` or lies below it, on a `/` boundary. Both are
/// clean; a `root` that ends in `/` contains only what begins with it.
pub(super) fn lies_under(root: &str, path: &str) -> bool {
    path.strip_prefix(root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || root.ends_with('/'))
}
