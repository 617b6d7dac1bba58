//! A request as it is kept while the person logs in and decides.

use super::*;

impl AuthorizationRequest {
    /// The form in which it is kept.
    #[must_use]
    pub fn to_json(&self, issuer: &str) -> Json {
        let mut object = Object::new()
            .with("client", self.client.as_str())
            .with("redirect_uri", self.redirect_uri.as_str())
            .with("challenge", self.challenge.to_string())
            .with("delegation", self.delegation.to_json());
        if let Some(state) = &self.state {
            object.insert("state", state.as_str());
        }
        if let Some(resource) = &self.resource {
            object.insert("resource", resource.uri(issuer));
        }
        if let Some(jkt) = self.dpop_jkt {
            object.insert("dpop_jkt", jkt);
        }
        if let Some(seconds) = self.max_age_seconds {
            object.insert("max_age", seconds);
        }
        let words: Vec<Json> = self.prompt.words().map(Json::from).collect();
        object.with("prompt", words).into()
    }

    /// Reads what [`AuthorizationRequest::to_json`] wrote; `None` for anything
    /// else.
    #[must_use]
    pub fn from_json(json: &Json, issuer: &str) -> Option<Self> {
        let o = json.as_object()?;
        let text = |name: &str| o.member(name).and_then(Json::as_str);
        let details = Json::from(vec![o.member("delegation")?.clone()]).canonical();
        let delegation = AuthorizationDetails::parse(&details).ok()?.delegation?;
        let words: Option<Vec<&str>> =
            o.member("prompt")?.as_array()?.iter().map(Json::as_str).collect();
        let words = words?;
        let resource = match text("resource") {
            Some(uri) => Some(Resource::parse(issuer, uri).ok()?),
            None => None,
        };
        let dpop_jkt = match text("dpop_jkt") {
            Some(jkt) => Some(Thumbprint::from_text(jkt)?),
            None => None,
        };
        let request = Self {
            client: ClientId::parse(text("client")?).ok()?,
            redirect_uri: text("redirect_uri")?.to_owned(),
            state: text("state").map(str::to_owned),
            challenge: Challenge::from_text(text("challenge")?)?,
            resource,
            scope: delegation.scope.clone(),
            delegation,
            dpop_jkt,
            prompt: Prompt {
                none: words.contains(&"none"),
                login: words.contains(&"login"),
                consent: words.contains(&"consent"),
                select_account: words.contains(&"select_account"),
            },
            max_age_seconds: o.member("max_age").and_then(|m| m.as_number()?.as_plain_integer()),
        };
        (request.to_json(issuer) == *json).then_some(request)
    }
}

impl Prompt {
    fn words(self) -> impl Iterator<Item = &'static str> {
        let words = [
            (self.none, "none"),
            (self.login, "login"),
            (self.consent, "consent"),
            (self.select_account, "select_account"),
        ];
        words.into_iter().filter(|(asked, _)| *asked).map(|(_, word)| word)
    }
}
