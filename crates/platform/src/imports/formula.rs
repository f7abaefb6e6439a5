//! Decides whether a cell would *do* something once it is exported and opened in a spreadsheet.
//!
//! Spreadsheets read a cell as a formula when it begins with `=`, `+`, `-` or `@`, also after
//! invisible characters (tab and carriage return are stripped on paste) and in full width (`＝`).
//! Refusing by first character alone would refuse `-5`, `+49 30 1234`, `@timestamp` and `-`, which
//! migration data is full of. What separates an attack from those is *reach*: to leave its cell a
//! formula must call a function, talk DDE, or refer to another sheet or file. So:
//!
//! 1. invisible characters before the cell's first visible one are skipped;
//! 2. `=` among the leading signs, followed by anything at all, is a formula: refused, whatever
//!    follows. No inventory value begins that way, and a bare `=` or `---=` draws a line;
//! 3. after `+`, `-` or `@` the rest is refused if it holds
//!    - a call: a word with a letter in it, then (spaces allowed, as Excel allows them) `(`,
//!    - a `|` (DDE, `cmd|' /C calc'!A0`),
//!    - a `!` with something directly after it (`Sheet1!A1`, `'\\host\[a.xls]b'!A1`);
//! 4. everything else passes: numbers, phone numbers, dashes, names, bullet points.
//!
//! The rule leans to refusal: `- patched (see note)` is syntactically a call of `patched` and is
//! refused. A pure calculation such as `-1+1` passes: it reaches nothing. Exports should still
//! prefix such cells; refusing at the import is the first of two fences.

/// `true` if `cell` must not get into a file that a spreadsheet may open.
pub(super) fn is_dangerous(cell: &str) -> bool {
    match cell.as_bytes().first() {
        None => false,
        Some(first) if first.is_ascii_alphanumeric() => false, // Nearly all cells, at no cost.
        Some(_) => is_active(cell.trim_start_matches(is_invisible)),
    }
}

fn is_active(visible: &str) -> bool {
    let rest = visible.trim_start_matches(|c| is_sign(c) || is_invisible(c));
    let signs = &visible[..visible.len() - rest.len()];
    if !signs.starts_with(is_sign) || rest.is_empty() {
        return false;
    }
    signs.contains(['=', '＝']) || rest.contains('|') || has_reference(rest) || has_call(rest)
}

fn is_sign(c: char) -> bool {
    matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')
}

fn is_invisible(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{00ad}')
}

fn has_reference(rest: &str) -> bool {
    rest.char_indices()
        .filter(|&(_, c)| c == '!')
        .any(|(at, _)| rest[at + 1..].starts_with(|next: char| next != '!' && !next.is_whitespace()))
}

fn has_call(rest: &str) -> bool {
    rest.char_indices().filter(|&(_, c)| matches!(c, '(' | '（')).any(|(at, _)| {
        rest[..at]
            .trim_end_matches(is_invisible)
            .chars()
            .rev()
            .take_while(|&c| c.is_alphanumeric() || matches!(c, '_' | '.'))
            .any(char::is_alphabetic)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_real_inventories_pass() {
        for cell in [
            "",
            "-",
            "--",
            "---",
            "=",
            "====",
            "+",
            "-5",
            "-5.3",
            "-1,5e3",
            "+49 30 1234",
            "+49 (0)30 1234-56",
            "+1 (555) 010-9999",
            "@timestamp",
            "@alice",
            "-n/a-",
            "- none -",
            "-> see ticket",
            "- patched in 2024",
            "+/- 5 %",
            "- call Bob!",
            "10.0.0.1",
            "*Server name",
            "a=b",
            "x|y",
            "f(x)",
            "\ttext",
            "-1+1",
        ] {
            assert!(!is_dangerous(cell), "{cell:?} must pass");
        }
    }

    #[test]
    fn formulas_that_reach_out_are_refused() {
        for cell in [
            "=1+1",
            "=cmd|' /C calc'!A0",
            "=\"00123\"",
            " =1",
            "\t=1+1",
            "\r=1",
            "\u{feff}=1",
            "＝1+1",
            "@SUM(1,2)",
            "@SUM (A1)",
            "+HYPERLINK(\"http://x\")",
            "-HYPERLINK(A1)",
            "- WEBSERVICE (A1)",
            "+-@=1",
            "-2+3+cmd|' /C calc'!A0",
            "+Sheet1!A1",
            "-'\\\\host\\[a.xls]b'!A1",
            "＠SUM(1)",
            "+LOG10(1)",
            "+Über(1)",
        ] {
            assert!(is_dangerous(cell), "{cell:?} must be refused");
        }
    }

    proptest! {
        #[test]
        fn numbers_and_phone_numbers_pass(cell in "[-+]?[0-9]{1,4}([ ./(),:-]{1,2}[0-9]{1,4}){0,5}") {
            prop_assert!(!is_dangerous(&cell));
        }

        #[test]
        fn a_cell_without_a_leading_sign_passes(cell in "[A-Za-z0-9äöü*#_/(\"'].{0,40}") {
            prop_assert!(!is_dangerous(&cell));
        }

        #[test]
        fn calls_are_refused_however_they_are_dressed(
            blank in "[ \t\r\n\u{a0}\u{feff}]{0,3}",
            sign in "[-+@=＝＋－＠]{1,3}",
            name in "[A-Za-z][A-Za-z0-9.]{0,12}",
            gap in "[ \t]{0,2}",
            arguments in "\\PC{0,20}",
        ) {
            let cell = format!("{blank}{sign}{name}{gap}({arguments}");
            prop_assert!(is_dangerous(&cell));
        }

        #[test]
        fn anything_after_an_equals_sign_is_refused(rest in "[!-<>-~]{1,20}") {
            let cell = format!("={rest}");
            prop_assume!(!rest.trim_start_matches(['+', '-', '@']).is_empty());
            prop_assert!(is_dangerous(&cell));
        }
    }
}
