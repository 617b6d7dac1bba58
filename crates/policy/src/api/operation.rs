//! One operation: requests to arguments, arguments to requests.

use bailiwick_core::json::{Json, Object};

use super::path::{Template, segments};
use super::text::{decoded, encoded, is_plain};
use super::value::Kind;
use super::{
    HEADER_PARAMETERS, Incoming, MAX_TARGET_BYTES, OVERRIDES, Outgoing, Undescribed, Verb, body,
    check, shown,
};
use crate::catalogue::{Definition, DefinitionKind};

/// Punctuation that may stand in a query as it is (RFC 3986 §3.4). `+` may not:
/// some servers take it for a space.
const PUNCTUATION: &[u8] = b"!$'()*,/:;?@";

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Header(&'static str),
    Path,
    Query,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parameter {
    name: String,
    place: Place,
    kind: Kind,
    /// Several values, each with the name anew; queries only.
    many: bool,
    required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyForm {
    /// The body is the argument `body`.
    Argument,
    /// The body's members are arguments.
    Members,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body {
    form: BodyForm,
    required: bool,
}

/// The name of the argument that is a whole body.
pub(super) const BODY: &str = "body";

/// An accepted definition of an operation, understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    name: String,
    /// As it was accepted.
    definition: Object,
    verb: Verb,
    path: Template,
    /// Other templates of the API that a path of this one could be meant for.
    except: Vec<Template>,
    parameters: Vec<Parameter>,
    body: Option<Body>,
}

impl Operation {
    /// Understands a definition; `None`, if it is no operation's.
    #[must_use]
    pub fn of(definition: &Definition) -> Option<Self> {
        if definition.kind() != DefinitionKind::Operation {
            return None;
        }
        let members = definition.members();
        let text = |name: &str| members.member(name)?.as_str();
        let list = |name: &str| members.member(name).map_or(Some(&[][..]), Json::as_array);
        let except = list("except")?.iter().map(|t| Template::parse(t.as_str()?));
        let parameters = list("parameters")?.iter().map(Parameter::read);
        let body = match members.member("body") {
            None => None,
            Some(body) => Some(Body::read(body)?),
        };
        let operation = Self {
            name: definition.name().to_owned(),
            definition: members.clone(),
            verb: Verb::parse(text("method")?)?,
            path: Template::parse(text("path")?)?,
            except: except.collect::<Option<_>>()?,
            parameters: parameters.collect::<Option<_>>()?,
            body,
        };
        operation.is_whole().then_some(operation)
    }

    /// Every parameter of the path is one, each argument has one place.
    fn is_whole(&self) -> bool {
        let names = || self.parameters.iter().map(|p| p.name.as_str());
        let in_path = |name: &str| {
            self.parameters.iter().any(|p| p.name == name && p.place == Place::Path && p.required)
        };
        let declared = self.parameters.iter().filter(|p| p.place == Place::Path).count();
        self.path.parameters().all(in_path)
            && self.path.parameters().count() == declared
            && self.parameters.iter().all(|p| p.place != Place::Query || is_name(&p.name))
            && names().all(|name| names().filter(|n| *n == name).count() == 1)
            && !self
                .body
                .is_some_and(|b| b.form == BodyForm::Argument && names().any(|n| n == BODY))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its definition, for whoever makes requests.
    #[must_use]
    pub const fn definition(&self) -> &Object {
        &self.definition
    }

    /// Its HTTP method.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// Its path.
    #[must_use]
    pub const fn path(&self) -> &Template {
        &self.path
    }

    fn has_path(&self, path: &[String]) -> bool {
        self.path.takes(path) && !self.except.iter().any(|other| other.may_take(path))
    }

    /// The arguments of a request.
    ///
    /// # Errors
    /// [`Undescribed`].
    pub fn arguments(&self, incoming: &Incoming<'_>) -> Result<Object, Undescribed> {
        let path = segments(incoming.path)?;
        if !self.has_path(&path) {
            return Err(Undescribed::Path);
        }
        if Verb::parse(incoming.method) != Some(self.verb) {
            return Err(Undescribed::Method);
        }
        let mut arguments = Object::new();
        for (name, text) in self.path.texts(&path) {
            let value = self.kind(name).and_then(|kind| kind.value(text));
            arguments.insert(name, value.ok_or_else(|| bad_value(name))?);
        }
        self.read_query(incoming.query, &mut arguments)?;
        self.read_headers(incoming.headers, &mut arguments)?;
        for parameter in self.parameters.iter().filter(|p| p.required) {
            if arguments.member(&parameter.name).is_none() {
                return Err(Undescribed::Missing { name: parameter.name.clone() });
            }
        }
        self.read_body(incoming, &mut arguments)?;
        check(&arguments)?;
        Ok(arguments)
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.parameters.iter().find(|p| p.name == name).map(|p| p.kind)
    }

    fn read_query(&self, query: Option<&str>, out: &mut Object) -> Result<(), Undescribed> {
        let Some(query) = query else { return Ok(()) };
        if query.len() > MAX_TARGET_BYTES {
            return Err(Undescribed::QuerySpelling);
        }
        for pair in query.split('&') {
            let (name, text) = pair.split_once('=').ok_or(Undescribed::QuerySpelling)?;
            let read = |text| decoded(text, PUNCTUATION).ok_or(Undescribed::QuerySpelling);
            let (name, text) = (read(name)?, read(text)?);
            let parameter =
                self.parameters.iter().find(|p| p.name == name && p.place == Place::Query);
            let unknown = || Undescribed::Unknown { name: shown(&name) };
            let parameter = parameter.ok_or_else(unknown)?;
            let value = parameter.kind.value(&text).ok_or_else(|| bad_value(&name))?;
            match (out.remove(&name), parameter.many) {
                (None, false) => out.insert(name.as_str(), value),
                (None, true) => out.insert(name.as_str(), vec![value]),
                (Some(Json::Array(mut all)), true) => {
                    all.push(value);
                    out.insert(name.as_str(), all);
                }
                (Some(_), _) => return Err(Undescribed::Twice { name }),
            }
        }
        Ok(())
    }

    fn read_headers(&self, headers: &[(&str, &[u8])], out: &mut Object) -> Result<(), Undescribed> {
        for (header, text) in headers {
            if let Some(name) = OVERRIDES.iter().find(|name| *name == header) {
                return Err(Undescribed::Override { name });
            }
            if !HEADER_PARAMETERS.contains(header) {
                continue;
            }
            let parameter = self.parameters.iter().find(|p| p.place == Place::of_header(header));
            let unknown = || Undescribed::Unknown { name: (*header).to_owned() };
            let parameter = parameter.ok_or_else(unknown)?;
            let text = std::str::from_utf8(text).ok().filter(|text| is_header(text));
            let value = text.and_then(|text| parameter.kind.value(text));
            let value = value.ok_or_else(|| bad_value(header))?;
            if out.remove(&parameter.name).is_some() {
                return Err(Undescribed::Twice { name: (*header).to_owned() });
            }
            out.insert(parameter.name.as_str(), value);
        }
        Ok(())
    }

    fn read_body(&self, incoming: &Incoming<'_>, out: &mut Object) -> Result<(), Undescribed> {
        let header = |name: &str| {
            let mut values = incoming.headers.iter().filter(|(n, _)| *n == name).map(|(_, v)| *v);
            (values.next(), values.next())
        };
        match header("content-encoding") {
            (None, _) => {}
            (Some(v), None) if v.eq_ignore_ascii_case(b"identity") => {}
            _ => return Err(Undescribed::BodyType),
        }
        let Some(form) = self.body else {
            return if incoming.body.is_empty() {
                Ok(())
            } else {
                Err(Undescribed::BodyUnexpected)
            };
        };
        if incoming.body.is_empty() {
            return if form.required { Err(Undescribed::BodyMissing) } else { Ok(()) };
        }
        match header("content-type") {
            (Some(media), None) if is_json(media) => {}
            _ => return Err(Undescribed::BodyType),
        }
        let body = body(incoming.body, incoming.limits)?;
        match (form.form, body) {
            (BodyForm::Argument, body) => out.insert(BODY, body),
            (BodyForm::Members, Json::Object(members)) => {
                for (name, value) in members.iter() {
                    // A member that has a parameter's name has no place of its own.
                    if self.kind(name).is_some() {
                        return Err(Undescribed::Twice { name: shown(name) });
                    }
                    out.insert(name, value.clone());
                }
            }
            (BodyForm::Members, _) => return Err(Undescribed::BodyForm),
        }
        Ok(())
    }

    /// The request that `arguments` stand for.
    ///
    /// # Errors
    /// [`Undescribed`], for arguments that no request of the operation has.
    pub fn request(&self, arguments: &Object) -> Result<Outgoing, Undescribed> {
        check(arguments)?;
        let (path, parts) = self.path.filled(arguments, |name| self.kind(name))?;
        if !self.has_path(&parts) {
            return Err(Undescribed::Path);
        }
        let mut query = String::new();
        let mut headers = Vec::new();
        for parameter in &self.parameters {
            let Some(value) = arguments.member(&parameter.name) else {
                if parameter.required {
                    return Err(Undescribed::Missing { name: parameter.name.clone() });
                }
                continue;
            };
            match parameter.place {
                Place::Path => {}
                Place::Query => {
                    for text in parameter.texts(value)? {
                        if !query.is_empty() {
                            query.push('&');
                        }
                        encoded(&parameter.name, &mut query);
                        query.push('=');
                        encoded(&text, &mut query);
                    }
                }
                Place::Header(name) => {
                    let text = parameter.kind.spelled(value).filter(|text| is_header(text));
                    headers.push((name, text.ok_or_else(|| bad_value(&parameter.name))?));
                }
            }
        }
        if query.len() > MAX_TARGET_BYTES || path.len() > MAX_TARGET_BYTES {
            return Err(Undescribed::QuerySpelling);
        }
        let query = (!query.is_empty()).then_some(query);
        Ok(Outgoing { verb: self.verb, path, query, headers, body: self.written(arguments)? })
    }

    /// The body: what of the arguments is no parameter.
    fn written(&self, arguments: &Object) -> Result<Option<Vec<u8>>, Undescribed> {
        let rest: Object = arguments
            .iter()
            .filter(|(name, _)| self.kind(name).is_none())
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        let first = rest.iter().next().map(|(name, _)| name);
        let written = |json: Json| Some(json.canonical().into_bytes());
        match (self.body, first) {
            (None, None) => Ok(None),
            (None, Some(name)) => Err(Undescribed::Unknown { name: shown(name) }),
            (Some(body), None) if !body.required => Ok(None),
            (Some(Body { form: BodyForm::Members, .. }), _) => Ok(written(rest.into())),
            (Some(_), None) => Err(Undescribed::BodyMissing),
            (Some(Body { form: BodyForm::Argument, .. }), Some(_)) => {
                match (rest.len(), rest.member(BODY)) {
                    (1, Some(body)) => Ok(written(body.clone())),
                    _ => {
                        let other = rest.iter().map(|(name, _)| name).find(|name| *name != BODY);
                        Err(Undescribed::Unknown { name: shown(other.unwrap_or(BODY)) })
                    }
                }
            }
        }
    }
}

/// Whether a query can name it.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && is_plain(name)
}

fn bad_value(name: &str) -> Undescribed {
    Undescribed::Value { name: shown(name) }
}

/// Visible ASCII and spaces between: a value that every reader reads alike.
fn is_header(text: &str) -> bool {
    !text.is_empty()
        && text.trim() == text
        && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// Whether a media type is `application/json`, perhaps with the only character
/// set that JSON has. Whoever honours another one reads another text.
#[must_use]
pub fn is_json(media: &[u8]) -> bool {
    let Ok(media) = std::str::from_utf8(media) else { return false };
    let (media, parameters) = media.split_once(';').unwrap_or((media, "charset=utf-8"));
    media.trim().eq_ignore_ascii_case("application/json")
        && parameters.trim().eq_ignore_ascii_case("charset=utf-8")
}

impl Place {
    fn of_header(name: &str) -> Self {
        let known = HEADER_PARAMETERS.iter().find(|known| **known == name);
        known.map_or(Self::Header(""), |name| Self::Header(name))
    }
}

impl Parameter {
    fn read(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let text = |name: &str| o.member(name)?.as_str();
        let is = |name: &str| o.member(name).map_or(Some(false), Json::as_bool);
        let name = text("name")?.to_owned();
        let place = match text("in")? {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header(HEADER_PARAMETERS.iter().find(|h| **h == name)?),
            _ => return None,
        };
        let (many, required) = (is("many")?, is("required")?);
        let kind = Kind::parse(text("type")?)?;
        (place == Place::Query || !many).then_some(Self { name, place, kind, many, required })
    }

    fn texts(&self, value: &Json) -> Result<Vec<String>, Undescribed> {
        let bad = || bad_value(&self.name);
        let values = match (value, self.many) {
            (Json::Array(all), true) if !all.is_empty() => all.as_slice(),
            (_, true) => return Err(bad()),
            (one, false) => std::slice::from_ref(one),
        };
        values.iter().map(|v| self.kind.spelled(v).ok_or_else(bad)).collect()
    }
}

impl Body {
    fn read(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let form = match o.member("form")?.as_str()? {
            "argument" => BodyForm::Argument,
            "members" => BodyForm::Members,
            _ => return None,
        };
        Some(Self { form, required: o.member("required")?.as_bool()? })
    }
}

/// The operation among `operations` that a request is of, with its arguments.
///
/// # Errors
/// [`Undescribed`], also where more than one operation fits.
pub fn matching<'o, T>(
    operations: impl IntoIterator<Item = (&'o Operation, T)>,
    incoming: &Incoming<'_>,
) -> Result<(&'o Operation, T, Object), Undescribed> {
    let path = segments(incoming.path)?;
    let mut found = None;
    let mut elsewhere = false;
    for (operation, with) in operations {
        if !operation.has_path(&path) {
            continue;
        }
        if operation.verb.as_str() != incoming.method {
            elsewhere = true;
        } else if found.replace((operation, with)).is_some() {
            return Err(Undescribed::Path);
        }
    }
    let none = if elsewhere { Undescribed::Method } else { Undescribed::Path };
    let (operation, with) = found.ok_or(none)?;
    let arguments = operation.arguments(incoming)?;
    Ok((operation, with, arguments))
}
