//! The fields that exist, by the types that have them.

/// A field of a type.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// The type of its value, or of the values of its list; none for scalars.
    pub kind: Option<&'static str>,
    /// The names of its arguments.
    pub arguments: &'static [&'static str],
}

const fn leaf(name: &'static str) -> Entry {
    Entry { name, kind: None, arguments: &[] }
}

const fn of(name: &'static str, kind: &'static str) -> Entry {
    Entry { name, kind: Some(kind), arguments: &[] }
}

const fn call(name: &'static str, kind: &'static str) -> Entry {
    Entry { name, kind: Some(kind), arguments: &["input"] }
}

const PAGE: &[&str] = &["before", "after", "first", "last"];
const UPLOAD: &[&str] = &["file", "startTimeSec", "durationTimeSec"];

/// All types. No type has itself among its fields, so documents end.
const KINDS: &[(&str, &[Entry])] = &[
    ("Query", &[of("defaultVideo", "Video"), Entry { name: "videos", kind: Some("VideoConnection"), arguments: PAGE }]),
    (
        "Mutation",
        &[
            Entry { name: "uploadVideo", kind: Some("Video"), arguments: UPLOAD },
            call("startSession", "StartSession"),
            call("closeSession", "CloseSession"),
            call("addPoints", "RLEMaskListOnFrame"),
            call("clearPointsInFrame", "RLEMaskListOnFrame"),
            call("clearPointsInVideo", "ClearPointsInVideo"),
            call("removeObject", "RLEMaskListOnFrame"),
            call("cancelPropagateInVideo", "CancelPropagateInVideo"),
        ],
    ),
    ("VideoConnection", &[of("edges", "VideoEdge"), of("pageInfo", "PageInfo")]),
    ("VideoEdge", &[leaf("cursor"), of("node", "Video")]),
    ("PageInfo", &[leaf("hasNextPage"), leaf("hasPreviousPage"), leaf("startCursor"), leaf("endCursor")]),
    (
        "Video",
        &[leaf("id"), leaf("path"), leaf("posterPath"), leaf("width"), leaf("height"), leaf("url"), leaf("posterUrl")],
    ),
    ("StartSession", &[leaf("sessionId")]),
    ("CloseSession", &[leaf("success")]),
    ("ClearPointsInVideo", &[leaf("success")]),
    ("CancelPropagateInVideo", &[leaf("success")]),
    ("RLEMaskListOnFrame", &[leaf("frameIndex"), of("rleMaskList", "RLEMaskForObject")]),
    ("RLEMaskForObject", &[leaf("objectId"), of("rleMask", "RLEMask")]),
    ("RLEMask", &[leaf("size"), leaf("counts"), leaf("order")]),
];

/// The field that every type has.
static TYPENAME: Entry = leaf("__typename");

/// A field of a type.
#[must_use]
pub fn field(kind: &str, name: &str) -> Option<&'static Entry> {
    if name == TYPENAME.name {
        return Some(&TYPENAME);
    }
    let (_, fields) = KINDS.iter().find(|(of, _)| *of == kind)?;
    fields.iter().find(|field| field.name == name)
}

/// Whether a fragment on a type applies to values of the type `kind`.
#[must_use]
pub fn applies(condition: &str, kind: &str) -> bool {
    condition == kind || (condition == "Node" && kind == "Video")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_exists_and_none_contains_itself() {
        fn depth(kind: &str, left: usize) {
            assert!(left > 0, "{kind}");
            let (_, fields) = KINDS.iter().find(|(of, _)| *of == kind).unwrap();
            fields.iter().filter_map(|field| field.kind).for_each(|kind| depth(kind, left - 1));
        }
        depth("Query", 6);
        depth("Mutation", 6);
        assert!(field("Video", "__typename").is_some() && field("Video", "edges").is_none());
        assert!(applies("Node", "Video") && !applies("Node", "PageInfo"));
    }
}
