//! Parameters of a query or a form (`application/x-www-form-urlencoded`).

use url::form_urlencoded;

use super::error::OAuthError;

/// Bytes of a query or form at most: room for a chain as subject token and an
/// instance's identity token as actor token.
pub const MAX_BYTES: usize = 384 * 1024;

/// Parameters in one request at most.
const MAX_PARAMETERS: usize = 64;

/// Parameters that may stand there more than once (RFC 8693 §2.1, RFC 8707 §2).
const REPEATABLE: [&str; 2] = ["audience", "resource"];

/// The parameters of one request: those without a value are left out (RFC 6749
/// §3.1), those that nobody knows are ignored (the same section).
#[derive(Clone, PartialEq, Eq)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// The first parameter that stands there twice.
    repeated: Option<String>,
}

impl std::fmt::Debug for Parameters {
    /// Names only: values are codes, tokens and assertions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// `pairs` as a form.
#[must_use]
pub fn encode(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

impl Parameters {
    /// Reads a query or form.
    ///
    /// A parameter that stands there twice is remembered, not yet refused: an
    /// authorization request with a good client and redirect URI is answered
    /// by redirect ([`Parameters::once_each`], [`Parameters::one`]).
    ///
    /// # Errors
    /// `invalid_request` when it is too large or not UTF-8.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        if text.len() > MAX_BYTES {
            return Err(OAuthError::request("request-too-large", "the request is too large"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut repeated = None;
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            // The reader replaces what is not UTF-8 by this character, which
            // no parameter of ours needs.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(OAuthError::request("parameter-not-utf8", "a parameter is not UTF-8"));
            }
            let known = pairs.iter().any(|(n, _)| *n == name);
            if known && !REPEATABLE.contains(&&*name) {
                repeated.get_or_insert_with(|| name.clone().into_owned());
            }
            // An empty value says nothing, but it may not hide a second one.
            pairs.push((name.into_owned(), value.into_owned()));
            if pairs.len() > MAX_PARAMETERS {
                return Err(OAuthError::request("request-too-large", "too many parameters"));
            }
        }
        Ok(Self { pairs, repeated })
    }

    /// No parameter stands there twice (RFC 6749 §3.1, §3.2).
    ///
    /// # Errors
    /// `invalid_request` names the parameter.
    pub fn once_each(&self) -> Result<(), OAuthError> {
        match &self.repeated {
            None => Ok(()),
            Some(name) => Err(repeated(name)),
        }
    }

    /// The value of `name`, if there is one.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The value of `name`, which must not stand there twice whatever becomes
    /// of the rest.
    ///
    /// # Errors
    /// `invalid_request` names the parameter.
    pub fn one(&self, name: &str) -> Result<Option<&str>, OAuthError> {
        if self.pairs.iter().filter(|(n, _)| n == name).count() > 1 {
            return Err(repeated(name));
        }
        Ok(self.first(name))
    }

    /// The value of `name`.
    ///
    /// # Errors
    /// `invalid_request` when there is none.
    pub fn required(&self, name: &str) -> Result<&str, OAuthError> {
        self.first(name).ok_or_else(|| {
            OAuthError::request("parameter-missing", format!("the parameter `{name}` is missing"))
        })
    }

    /// Every value of `name` that is not empty.
    pub fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
}

fn repeated(name: &str) -> OAuthError {
    let name: String = name.chars().take(64).collect();
    OAuthError::request("parameter-repeated", format!("the parameter `{name}` stands there twice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_stands_there_twice_is_refused_even_when_one_is_empty() {
        for text in ["a=1&a=2", "a=&a=2", "a=1&b=2&a="] {
            let parameters = Parameters::parse(text).unwrap();
            assert_eq!(parameters.once_each().unwrap_err().reason, "parameter-repeated");
            assert_eq!(parameters.one("a").unwrap_err().reason, "parameter-repeated");
        }
        let resources = Parameters::parse("resource=x&resource=y&audience=z").unwrap();
        assert_eq!(resources.once_each(), Ok(()));
        assert_eq!(resources.all("resource").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn a_parameter_without_value_is_as_good_as_absent() {
        let parameters = Parameters::parse("scope=&state=s+t%26").unwrap();
        assert_eq!(parameters.first("scope"), None);
        assert_eq!(parameters.one("state"), Ok(Some("s t&")));
        assert_eq!(parameters.required("scope").unwrap_err().reason, "parameter-missing");
    }

    #[test]
    fn bytes_that_are_no_text_and_requests_without_end_are_refused() {
        assert_eq!(Parameters::parse("a=%ff").unwrap_err().reason, "parameter-not-utf8");
        let many: String = (0..65).map(|i| format!("p{i}=1&")).collect();
        assert_eq!(Parameters::parse(&many).unwrap_err().reason, "request-too-large");
        let long = "a".repeat(MAX_BYTES + 1);
        assert_eq!(Parameters::parse(&long).unwrap_err().reason, "request-too-large");
    }

    #[test]
    fn values_do_not_appear_in_debug_output() {
        let parameters = Parameters::parse("code=secret").unwrap();
        assert_eq!(format!("{parameters:?}"), r#"["code"]"#);
    }
}
