//! How far a misspelt name is from a right one.

/// The name in `names` that `wrong` was probably meant to be.
///
/// Case does not matter. One slip for short names, two for longer ones: `REDIS_ULR` is near `REDIS_URL`, and `HOME` is near nothing.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_uppercase();
    names
        .into_iter()
        .map(|name| (slips(&wrong, &name.to_ascii_uppercase()), name))
        .filter(|(slips, name)| *slips <= slips_max(name))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

fn slips_max(name: &str) -> usize {
    match name.len() {
        // LOG is one letter from too many variables of other programs.
        0..=3 => 0,
        4..=6 => 1,
        _ => 2,
    }
}

/// Letters inserted, left out, replaced, or swapped with their neighbour (the restricted Damerau–Levenshtein
/// distance; Boytsov 2011, §2.1).
fn slips(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            rows[i][j] = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                rows[i][j] = rows[i][j].min(rows[i - 2][j - 2] + 1);
            }
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 6] = ["LISTEN_ADDR", "REDIS_URL", "REDIS_ENABLED", "DATA_DIR", "DEMO", "LOG"];

    fn check(wrong: &str, meant: Option<&str>) {
        assert_eq!(nearest(wrong, NAMES), meant, "{wrong}");
    }

    #[test]
    fn slips_of_the_pen_are_recognised() {
        check("REDIS_ULR", Some("REDIS_URL"));
        check("LISTEN_ADRR", Some("LISTEN_ADDR"));
        check("LISTEN_ADDRES", Some("LISTEN_ADDR"));
        check("listen_addr", Some("LISTEN_ADDR"));
        check("DATADIR", Some("DATA_DIR"));
        check("DEMOO", Some("DEMO"));
        check("REDIS_ENABLE", Some("REDIS_ENABLED"));
    }

    #[test]
    fn variables_of_other_programs_are_left_alone() {
        for other in ["HOME", "TERM", "LANG", "PATH", "LOGNAME", "REDIS_HOST", "REDIS_PORT", "XDG_DATA_DIRS", "DE", ""]
        {
            check(other, None);
        }
    }
}
