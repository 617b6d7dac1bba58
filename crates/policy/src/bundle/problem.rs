//! What is wrong with a bundle, where, and how to mend it.

use std::fmt;

use bailiwick_core::json::{Json, Object};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $remedy:literal;)*) => {
        /// The kinds of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BundleProblemCode { $($(#[$doc])* $variant,)* }

        impl BundleProblemCode {
            /// The stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(BundleProblemCode::$variant => $code,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(BundleProblemCode::$variant => $remedy,)* }
            }
        }
    };
}

codes! {
    /// An annotation that is not known, or that says nothing.
    Annotation = "policy-annotation", "annotate a policy with @id, @reason and, on a forbid, @approval";
    /// A text that is not the document of a bundle.
    Document = "policy-document", "publish the bundle again from its files";
    /// No policy at all.
    Empty = "policy-empty", "write at least one policy: without a permit nothing is allowed";
    /// A policy without an id, or with one that is not well-formed.
    Id = "policy-id", "name the policy with @id: lower-case letters, digits and hyphens";
    /// Two policies with one id.
    IdRepeated = "policy-id-repeated", "give each policy of the bundle an id of its own";
    /// A file's name that cannot stand in a bundle.
    Name = "policy-file-name", "name files with letters, digits, `.`, `_`, `-` and `/`";
    /// A policy that does not say why.
    Reason = "policy-reason", "say with @reason, in one sentence, why the policy is there";
    /// Not Cedar.
    Syntax = "policy-syntax", "see docs.cedarpolicy.com for the language";
    /// A template: a policy with slots.
    Template = "policy-template", "write the policy out: templates are not linked here";
    /// More than a bundle may hold, or one policy too long or too deep.
    TooLarge = "policy-too-large", "split the policy, or say it in fewer";
    /// Not what the schema allows.
    Type = "policy-type", "compare the policy with docs/policy.cedarschema";
}

/// One thing that is wrong with a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleProblem {
    /// Its kind.
    pub code: BundleProblemCode,
    /// The file and the line in it, from 1; none, if it is the whole bundle.
    pub place: Option<(String, usize)>,
    /// What was found, in one sentence.
    pub found: String,
}

impl BundleProblem {
    pub(super) fn of_bundle(code: BundleProblemCode) -> Self {
        let found = match code {
            BundleProblemCode::Empty => "the bundle holds no policy",
            BundleProblemCode::TooLarge => "the bundle is larger than a bundle may be",
            BundleProblemCode::IdRepeated => "two policies have one id",
            _ => "this is not a bundle of this schema's version",
        };
        Self { code, place: None, found: found.to_owned() }
    }

    pub(super) fn at(
        code: BundleProblemCode,
        file: &str,
        line: usize,
        found: impl Into<String>,
    ) -> Self {
        // Texts of the language's reader may have several lines.
        let found = found.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { code, place: Some((file.to_owned(), line)), found }
    }

    /// As JSON, for tools.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let (file, line) = match &self.place {
            Some((file, line)) => (Some(file.as_str()), u64::try_from(*line).ok()),
            None => (None, None),
        };
        Object::new()
            .with("code", self.code.as_str())
            .with("file", file)
            .with("line", line)
            .with("found", self.found.as_str())
            .with("remedy", self.code.remedy())
            .into()
    }
}

impl fmt::Display for BundleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((file, line)) = &self.place {
            write!(f, "{file}:{line}: ")?;
        }
        write!(f, "{}; {} [{}]", self.found, self.code.remedy(), self.code.as_str())
    }
}
