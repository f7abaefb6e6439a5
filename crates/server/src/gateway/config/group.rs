//! The names of groups with parameters of the path: `import:{import_id}`. `{{` and `}}` stand for braces.
//!
//! *Decides*, does no IO.

/// A part of a group's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// As it stands there, doubled braces included.
    Text(&'a str),
    /// The name of a parameter.
    Parameter(&'a str),
}

/// The parts of a group's name; none if its braces do not match.
pub(crate) fn parts(group: &str) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = group;
    while let Some(at) = rest.find(['{', '}']) {
        let brace = &rest[at..=at];
        if rest[at + 1..].starts_with(brace) {
            parts.push(Part::Text(&rest[..at + 2]));
            rest = &rest[at + 2..];
            continue;
        }
        let (name, after) = rest[at + 1..].split_once('}').filter(|(name, _)| brace == "{" && !name.contains('{'))?;
        parts.extend((at > 0).then_some(Part::Text(&rest[..at])));
        parts.push(Part::Parameter(name));
        rest = after;
    }
    parts.extend((!rest.is_empty()).then_some(Part::Text(rest)));
    Some(parts)
}

/// A path with its parameters named by their place: equal for paths that match the same.
pub(crate) fn numbered(path: &str) -> String {
    let mut number = 0;
    let segment = |segment: &str| match parameter(segment) {
        Some(_) => {
            number += 1;
            format!("{{p{number}}}")
        }
        None => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// A group's name with the parameters of `path` named by their place.
pub(crate) fn renamed(group: &str, path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter_map(parameter).collect();
    let part = |part: Part<'_>| match part {
        Part::Text(text) => text.to_owned(),
        Part::Parameter(name) => {
            let place = names.iter().position(|own| *own == name).map_or(0, |place| place + 1);
            format!("{{p{place}}}")
        }
    };
    parts(group).into_iter().flatten().map(part).collect()
}

/// The name of a segment that is a parameter.
pub(crate) fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let text = Part::Text;
        assert_eq!(parts("a:{b}:c"), Some(vec![text("a:"), Part::Parameter("b"), text(":c")]));
        assert_eq!(parts("{b}{c}"), Some(vec![Part::Parameter("b"), Part::Parameter("c")]));
        assert_eq!(parts("a{{b}}"), Some(vec![text("a{{"), text("b}}")]));
        for wrong in ["{", "}", "a}b", "{a", "{a{b}}"] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parameters_are_named_by_their_place() {
        assert_eq!(numbered("/a/{id}/b/{other}"), "/a/{p1}/b/{p2}");
        assert_eq!(numbered("/a/{x}"), numbered("/a/{y}"));
        assert_eq!(renamed("i:{other}:{id}{{", "/a/{id}/b/{other}"), "i:{p2}:{p1}{{");
    }
}
