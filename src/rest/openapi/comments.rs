//! The contract's comments, which are its reference.

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor,
};

/// Something in the contract that can have a comment.
pub(super) trait Commented {
    /// Where it stands, as source information counts.
    fn place(&self) -> (FileDescriptor, Vec<i32>);

    /// The comment before it, as paragraphs; empty without one.
    fn comment(&self) -> String {
        let (file, path) = self.place();
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let locations = info.map(|info| info.location.as_slice()).unwrap_or_default();
        let found = locations.iter().find(|location| location.path == path);
        let text = found.and_then(|location| location.leading_comments.as_deref());
        paragraphs(text.unwrap_or_default())
    }
}

macro_rules! commented {
    ($($kind:ty),+) => {$(
        impl Commented for $kind {
            fn place(&self) -> (FileDescriptor, Vec<i32>) {
                (self.parent_file(), self.path().to_vec())
            }
        }
    )+};
}

commented!(EnumDescriptor, MessageDescriptor, ServiceDescriptor);

impl Commented for MethodDescriptor {
    fn place(&self) -> (FileDescriptor, Vec<i32>) {
        (self.parent_service().parent_file(), self.path().to_vec())
    }
}

impl Commented for FieldDescriptor {
    fn place(&self) -> (FileDescriptor, Vec<i32>) {
        (self.parent_message().parent_file(), self.path().to_vec())
    }
}

/// Lines as they are broken in the sources, joined; blank lines part paragraphs.
fn paragraphs(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let parts = lines.split(|line| line.is_empty()).filter(|part| !part.is_empty());
    parts.map(|part| part.join(" ")).collect::<Vec<_>>().join("\n\n")
}

/// The first sentence, without its full stop.
pub(super) fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").or_else(|| text.find(".\n")).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_joined_and_cut_at_sentences() {
        let text = " Reads a flag.\n Scope: `x`.\n\n More of\n it.\n";
        let joined = paragraphs(text);
        assert_eq!(joined, "Reads a flag. Scope: `x`.\n\nMore of it.");
        assert_eq!(first_sentence(&joined), "Reads a flag");
        assert_eq!(first_sentence("One."), "One");
    }
}
