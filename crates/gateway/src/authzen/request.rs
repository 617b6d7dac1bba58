//! What a request of the decision API asks (AuthZEN 1.0 §5 to §7).

use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use http::StatusCode;

use super::{PRESENTATION, problem};

/// Questions of one batch at most: each is a decision with an entry of its own.
const MAX_EVALUATIONS: usize = 64;

/// A request that the standard does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

impl Unreadable {
    pub(super) fn to_json(self, status: StatusCode) -> Object {
        problem(status, "request-malformed", self.0, "send what AuthZEN 1.0 §5 asks for")
    }
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) subject_type: String,
    pub(super) subject_id: String,
    pub(super) action: String,
    pub(super) arguments: Object,
    pub(super) resource_type: String,
    pub(super) resource_id: String,
    /// Chain and proof, not looked at yet.
    pub(super) presentation: Option<Json>,
}

impl Asked {
    /// Reads `question`. In a batch, what it lacks is taken from `defaults`:
    /// whole entities, and required members of one that it names itself.
    pub(super) fn read(question: &Object, defaults: Option<&Object>) -> Result<Self, Unreadable> {
        let part = |name: &str| Part::of(question, defaults, name);
        let must = |what| Unreadable(what);
        let (subject, action, resource) = (part("subject")?, part("action")?, part("resource")?);
        let missing = "`subject`, `action` and `resource` must be objects";
        let (Some(subject), Some(action), Some(resource)) = (subject, action, resource) else {
            return Err(must(missing));
        };
        let arguments = match action.properties()?.and_then(|p| p.member("arguments")) {
            None => Object::new(),
            Some(Json::Object(arguments)) => arguments.clone(),
            Some(_) => return Err(must("`action.properties.arguments` must be an object")),
        };
        subject.properties()?;
        resource.properties()?;
        let presentation = part("context")?.and_then(|c| c.own.member(PRESENTATION).cloned());
        Ok(Self {
            subject_type: subject.text("type", "`subject.type` must be a text")?,
            subject_id: subject.text("id", "`subject.id` must be a text")?,
            action: action.text("name", "`action.name` must be a text")?,
            arguments,
            resource_type: resource.text("type", "`resource.type` must be a text")?,
            resource_id: resource.text("id", "`resource.id` must be a text")?,
            presentation,
        })
    }

    /// The tool server that is asked about, if it is one.
    pub(super) fn server(&self) -> Option<ServerName> {
        let tool = ToolId::parse(&self.resource_id).ok()?;
        ServerName::parse(tool.server()).ok()
    }
}

/// An entity of a question, with the one that stands in for what it lacks.
struct Part<'a> {
    own: &'a Object,
    default: Option<&'a Object>,
}

impl<'a> Part<'a> {
    fn of(
        question: &'a Object,
        defaults: Option<&'a Object>,
        name: &str,
    ) -> Result<Option<Self>, Unreadable> {
        let object = |of: &'a Object| match of.member(name) {
            None => Ok(None),
            Some(Json::Object(object)) => Ok(Some(object)),
            Some(_) => {
                Err(Unreadable("`subject`, `action`, `resource` and `context` must be objects"))
            }
        };
        let default = match defaults {
            Some(defaults) => object(defaults)?,
            None => None,
        };
        Ok(object(question)?.or(default).map(|own| Self { own, default }))
    }

    fn text(&self, name: &str, expected: &'static str) -> Result<String, Unreadable> {
        let found = self.own.member(name).or_else(|| self.default?.member(name));
        let text = found.and_then(Json::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or(Unreadable(expected))
    }

    fn properties(&self) -> Result<Option<&'a Object>, Unreadable> {
        match self.own.member("properties") {
            None => Ok(None),
            Some(Json::Object(properties)) => Ok(Some(properties)),
            Some(_) => Err(Unreadable("`properties` must be an object")),
        }
    }
}

/// When a batch ends early (§7.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Semantics {
    /// Never.
    All,
    /// With the first denial.
    FirstDeny,
    /// With the first permit.
    FirstPermit,
}

impl Semantics {
    pub(super) fn ends_with(self, decision: bool) -> bool {
        match self {
            Self::All => false,
            Self::FirstDeny => !decision,
            Self::FirstPermit => decision,
        }
    }
}

type Items<'b> = Vec<Result<&'b Object, Unreadable>>;

/// The questions of a batch; nothing, where the request is a single one.
pub(super) fn batch(body: &Object) -> Result<Option<(Items<'_>, Semantics)>, Unreadable> {
    let items = match body.member("evaluations") {
        None => return Ok(None),
        Some(Json::Array(items)) if items.is_empty() => return Ok(None),
        Some(Json::Array(items)) if items.len() <= MAX_EVALUATIONS => items,
        Some(Json::Array(_)) => return Err(Unreadable("`evaluations` has more than 64 elements")),
        Some(_) => return Err(Unreadable("`evaluations` must be an array")),
    };
    let options = match body.member("options") {
        None => None,
        Some(Json::Object(options)) => options.member("evaluations_semantic"),
        Some(_) => return Err(Unreadable("`options` must be an object")),
    };
    let semantics = match options.map(Json::as_str) {
        None | Some(Some("execute_all")) => Semantics::All,
        Some(Some("deny_on_first_deny")) => Semantics::FirstDeny,
        Some(Some("permit_on_first_permit")) => Semantics::FirstPermit,
        // SECURITY: to run all of them where the caller meant to stop could
        // spend what was not meant to be spent.
        Some(_) => return Err(Unreadable("`options.evaluations_semantic` is not one of three")),
    };
    let object = |item| Json::as_object(item).ok_or(Unreadable("an evaluation is an object"));
    Ok(Some((items.iter().map(object).collect(), semantics)))
}
