//! Groups by name: a text with parameters of the route, such as `import:{import_id}`.
//!
//! A parameter stands for one segment of the path, percent-decoded once, as every server decodes it: `/imports/a%20b` is
//! in the group `import:a b`. What decodes to no UTF-8 is replaced by U+FFFD; groups that fall together by it are
//! declared wrong together, which is safe. In a pattern, `{{` and `}}` stand for braces.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A group's name that depends on the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupPattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The segment of the path at this place, from 0.
    Segment(usize),
}

/// Why a text is no pattern of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GroupProblem {
    /// It names a parameter that the route does not have.
    UnknownParameter(String),
    /// It is malformed; what to do.
    Malformed(&'static str),
}

impl GroupPattern {
    /// Parses `text` for a route with `pattern`.
    pub(super) fn parse(text: &str, pattern: &str) -> Result<Self, GroupProblem> {
        if text.is_empty() {
            return Err(GroupProblem::Malformed("give the group a name"));
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(doubled) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = doubled;
                continue;
            }
            let name = match rest.split_once('}') {
                Some((name, after)) if brace == "{" => {
                    rest = after;
                    name
                }
                _ => {
                    return Err(GroupProblem::Malformed("write '{name}' for a parameter and '{{' or '}}' for a brace"));
                }
            };
            let place = parameter(pattern, name).ok_or_else(|| GroupProblem::UnknownParameter(name.to_owned()))?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Segment(place));
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// The group's name for a path that the route's pattern matches.
    pub(crate) fn name(&self, path: &str) -> String {
        self.0.iter().map(|part| part.text(path)).collect()
    }
}

impl Part {
    fn text<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Segment(place) => {
                let segment = segments(path).nth(*place).expect("the route's pattern matched the path");
                percent_decode_str(segment).decode_utf8_lossy()
            }
        }
    }
}

/// The place of a parameter in a route's pattern.
fn parameter(pattern: &str, name: &str) -> Option<usize> {
    segments(pattern).position(|segment| {
        segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| inner == name)
    })
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATTERN: &str = "/clients/{client}/imports/{import_id}/*";

    fn check(group: &str, path: &str, expected: &str) {
        assert_eq!(GroupPattern::parse(group, PATTERN).unwrap().name(path), expected, "{group} at {path}");
    }

    #[test]
    fn parameters_stand_for_their_segments_decoded_once() {
        let path = "/clients/c%201/imports/7%2541/rows";
        check("import:{import_id}", path, "import:7%41");
        check("{client}/{import_id}{client}", path, "c 1/7%41c 1");
        check("imports", path, "imports");
        check("{{{client}}}", path, "{c 1}");
        check("{client}", "/clients/%ff/imports/7/rows", "\u{fffd}");
    }

    #[test]
    fn what_names_no_parameter_of_the_route_is_refused() {
        let check = |group: &str, problem| assert_eq!(GroupPattern::parse(group, PATTERN), Err(problem), "{group}");
        check("import:{import}", GroupProblem::UnknownParameter("import".into()));
        check("{}", GroupProblem::UnknownParameter(String::new()));
        check("{*}", GroupProblem::UnknownParameter("*".into()));
        for malformed in ["", "{client", "client}", "a}b{client}"] {
            assert!(matches!(GroupPattern::parse(malformed, PATTERN), Err(GroupProblem::Malformed(_))), "{malformed}");
        }
    }
}
