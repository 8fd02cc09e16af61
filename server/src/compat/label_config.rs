//! The tags of a labelling configuration of Label Studio, which is XML.

use std::collections::HashMap;

/// A tag: its name and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag<'a> {
    /// The name.
    pub name: &'a str,
    /// The attributes, as they are written.
    attributes: HashMap<&'a str, &'a str>,
}

impl Tag<'_> {
    /// An attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).copied()
    }
}

/// The tags of a text in order. Closing tags, comments, and what is no tag are left out.
#[must_use]
pub fn tags(mut text: &str) -> Vec<Tag<'_>> {
    let mut all = Vec::new();
    while let Some((_, rest)) = text.split_once('<') {
        if let Some(comment) = rest.strip_prefix("!--") {
            text = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let end = rest.find(|c: char| c.is_whitespace() || c == '>' || c == '/').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let (attributes, rest) = attributes(rest);
        if !name.is_empty() {
            all.push(Tag { name, attributes });
        }
        text = rest;
    }
    all
}

/// The attributes of a tag, and the text after it.
fn attributes(mut text: &str) -> (HashMap<&str, &str>, &str) {
    let mut all = HashMap::new();
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        if let Some(rest) = text.strip_prefix('>') {
            return (all, rest);
        }
        let end = text.find(['=', '>', '<']).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let Some(rest) = rest.strip_prefix('=').map(str::trim_start) else {
            return (all, rest);
        };
        let quote = rest.chars().next().filter(|c| ['"', '\''].contains(c));
        let Some((value, after)) = quote.and_then(|quote| rest[1..].split_once(quote)) else {
            return (all, rest);
        };
        // Words without a value come before.
        all.insert(name.split_whitespace().next_back().unwrap_or_default(), value);
        text = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_a_configuration() {
        let text = r#"<View>
            <!-- <Image name="old" value="$old"/> -->
            <Image name="img" value='$image' hidden zoom = "true"/>
            <BrushLabels name="tag" toName="img"><Label value="a > b" background="red"/></BrushLabels>
        </View>"#;
        let all = tags(text);
        assert_eq!(all.iter().map(|tag| tag.name).collect::<Vec<_>>(), ["View", "Image", "BrushLabels", "Label"]);
        assert_eq!((all[1].get("value"), all[1].get("zoom")), (Some("$image"), Some("true")));
        assert_eq!((all[2].get("toName"), all[2].get("value")), (Some("img"), None));
        assert_eq!(all[3].get("value"), Some("a > b"));
    }

    #[test]
    fn what_is_no_xml_ends() {
        for text in [
            "",
            "<",
            "<<<",
            "<a",
            "<a b",
            "<a b=",
            "<a b=c>",
            "<a b=\"c",
            "<!--",
            "<a 'x' \u{e9}=\"\u{e9}\"",
            "<a =\"b\">",
        ] {
            drop(tags(text));
        }
        assert_eq!(tags(&"<a ".repeat(100_000)).len(), 100_000);
    }
}
