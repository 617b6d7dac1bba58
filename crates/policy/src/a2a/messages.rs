//! The messages of A2A 1.0, as its protocol buffers define them.

use super::form::Form::{Any, Choice, Flag, Integer, List, Named, Open, Text};
use super::form::{Form, Group, group, kept, plain};

const fn of(group: &'static Group) -> Form {
    Form::Group(group)
}

const TEXTS: Form = List(&Text);

/// The states of a task; the first is none.
pub(crate) const STATES: &[&str] = &[
    "TASK_STATE_UNSPECIFIED",
    "TASK_STATE_SUBMITTED",
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
    "TASK_STATE_FAILED",
    "TASK_STATE_CANCELED",
    "TASK_STATE_INPUT_REQUIRED",
    "TASK_STATE_REJECTED",
    "TASK_STATE_AUTH_REQUIRED",
];

const ROLES: &[&str] = &["ROLE_UNSPECIFIED", "ROLE_USER", "ROLE_AGENT"];

const PART: Group = Group {
    fields: &[
        kept("text", Text),
        kept("raw", Text),
        kept("url", Text),
        kept("data", Any),
        kept("metadata", Open),
        plain("filename", Text),
        plain("mediaType", Text),
    ],
    one_of: &["text", "raw", "url", "data"],
};

pub(crate) const MESSAGE: Group = group(&[
    plain("messageId", Text),
    plain("contextId", Text),
    plain("taskId", Text),
    plain("role", Choice(ROLES)),
    plain("parts", List(&of(&PART))),
    kept("metadata", Open),
    plain("extensions", TEXTS),
    plain("referenceTaskIds", TEXTS),
]);

const ARTIFACT: Group = group(&[
    plain("artifactId", Text),
    plain("name", Text),
    plain("description", Text),
    plain("parts", List(&of(&PART))),
    kept("metadata", Open),
    plain("extensions", TEXTS),
]);

const STATUS: Group = group(&[
    plain("state", Choice(STATES)),
    kept("message", of(&MESSAGE)),
    kept("timestamp", Text),
]);

pub(crate) const TASK: Group = group(&[
    plain("id", Text),
    plain("contextId", Text),
    kept("status", of(&STATUS)),
    plain("artifacts", List(&of(&ARTIFACT))),
    plain("history", List(&of(&MESSAGE))),
    kept("metadata", Open),
]);

const STATUS_UPDATE: Group = group(&[
    plain("taskId", Text),
    plain("contextId", Text),
    kept("status", of(&STATUS)),
    kept("metadata", Open),
]);

const ARTIFACT_UPDATE: Group = group(&[
    plain("taskId", Text),
    plain("contextId", Text),
    kept("artifact", of(&ARTIFACT)),
    plain("append", Flag),
    plain("lastChunk", Flag),
    kept("metadata", Open),
]);

pub(crate) const STREAM: Group = Group {
    fields: &[
        kept("task", of(&TASK)),
        kept("message", of(&MESSAGE)),
        kept("statusUpdate", of(&STATUS_UPDATE)),
        kept("artifactUpdate", of(&ARTIFACT_UPDATE)),
    ],
    one_of: &["task", "message", "statusUpdate", "artifactUpdate"],
};

pub(crate) const SENT: Group = Group {
    fields: &[kept("task", of(&TASK)), kept("message", of(&MESSAGE))],
    one_of: &["task", "message"],
};

pub(crate) const TASKS: Group = group(&[
    kept("tasks", List(&of(&TASK))),
    kept("nextPageToken", Text),
    kept("pageSize", Integer),
    kept("totalSize", Integer),
]);

const AUTHENTICATION: Group = group(&[plain("scheme", Text), plain("credentials", Text)]);

pub(crate) const PUSH: Group = group(&[
    plain("tenant", Text),
    plain("id", Text),
    plain("taskId", Text),
    plain("url", Text),
    plain("token", Text),
    kept("authentication", of(&AUTHENTICATION)),
]);

pub(crate) const PUSHES: Group =
    group(&[plain("configs", List(&of(&PUSH))), plain("nextPageToken", Text)]);

pub(crate) const NOTHING: Group = group(&[]);

const CONFIGURATION: Group = group(&[
    plain("acceptedOutputModes", TEXTS),
    kept("taskPushNotificationConfig", of(&PUSH)),
    kept("historyLength", Integer),
    plain("returnImmediately", Flag),
]);

pub(crate) const SEND: Group = group(&[
    plain("tenant", Text),
    kept("message", of(&MESSAGE)),
    kept("configuration", of(&CONFIGURATION)),
    kept("metadata", Open),
]);

pub(crate) const GET_TASK: Group =
    group(&[plain("tenant", Text), plain("id", Text), kept("historyLength", Integer)]);

pub(crate) const LIST_TASKS: Group = group(&[
    plain("tenant", Text),
    plain("contextId", Text),
    plain("status", Choice(STATES)),
    kept("pageSize", Integer),
    plain("pageToken", Text),
    kept("historyLength", Integer),
    kept("statusTimestampAfter", Text),
    kept("includeArtifacts", Flag),
]);

pub(crate) const CANCEL: Group =
    group(&[plain("tenant", Text), plain("id", Text), kept("metadata", Open)]);

pub(crate) const SUBSCRIBE: Group = group(&[plain("tenant", Text), plain("id", Text)]);

pub(crate) const ONE_PUSH: Group =
    group(&[plain("tenant", Text), plain("taskId", Text), plain("id", Text)]);

pub(crate) const LIST_PUSHES: Group = group(&[
    plain("tenant", Text),
    plain("taskId", Text),
    plain("pageSize", Integer),
    plain("pageToken", Text),
]);

pub(crate) const EXTENDED: Group = group(&[plain("tenant", Text)]);

// The card.

const INTERFACE: Group = group(&[
    plain("url", Text),
    plain("protocolBinding", Text),
    plain("tenant", Text),
    plain("protocolVersion", Text),
]);

const PROVIDER: Group = group(&[plain("url", Text), plain("organization", Text)]);

const EXTENSION: Group = group(&[
    plain("uri", Text),
    plain("description", Text),
    plain("required", Flag),
    kept("params", Open),
]);

const CAPABILITIES: Group = group(&[
    kept("streaming", Flag),
    kept("pushNotifications", Flag),
    plain("extensions", List(&of(&EXTENSION))),
    kept("extendedAgentCard", Flag),
]);

const SCOPES: Form = Named(&Text);

const CODE_FLOW: Group = group(&[
    plain("authorizationUrl", Text),
    plain("tokenUrl", Text),
    plain("refreshUrl", Text),
    plain("scopes", SCOPES),
    plain("pkceRequired", Flag),
]);

const TOKEN_FLOW: Group =
    group(&[plain("tokenUrl", Text), plain("refreshUrl", Text), plain("scopes", SCOPES)]);

const IMPLICIT_FLOW: Group =
    group(&[plain("authorizationUrl", Text), plain("refreshUrl", Text), plain("scopes", SCOPES)]);

const DEVICE_FLOW: Group = group(&[
    plain("deviceAuthorizationUrl", Text),
    plain("tokenUrl", Text),
    plain("refreshUrl", Text),
    plain("scopes", SCOPES),
]);

const FLOWS: Group = group(&[
    kept("authorizationCode", of(&CODE_FLOW)),
    kept("clientCredentials", of(&TOKEN_FLOW)),
    kept("implicit", of(&IMPLICIT_FLOW)),
    kept("password", of(&TOKEN_FLOW)),
    kept("deviceCode", of(&DEVICE_FLOW)),
]);

const API_KEY: Group =
    group(&[plain("description", Text), plain("location", Text), plain("name", Text)]);

const HTTP_AUTH: Group =
    group(&[plain("description", Text), plain("scheme", Text), plain("bearerFormat", Text)]);

const OAUTH2: Group = group(&[
    plain("description", Text),
    kept("flows", of(&FLOWS)),
    plain("oauth2MetadataUrl", Text),
]);

const OPENID: Group = group(&[plain("description", Text), plain("openIdConnectUrl", Text)]);

const MTLS: Group = group(&[plain("description", Text)]);

const SCHEME: Group = Group {
    fields: &[
        kept("apiKeySecurityScheme", of(&API_KEY)),
        kept("httpAuthSecurityScheme", of(&HTTP_AUTH)),
        kept("oauth2SecurityScheme", of(&OAUTH2)),
        kept("openIdConnectSecurityScheme", of(&OPENID)),
        kept("mtlsSecurityScheme", of(&MTLS)),
    ],
    one_of: &[
        "apiKeySecurityScheme",
        "httpAuthSecurityScheme",
        "oauth2SecurityScheme",
        "openIdConnectSecurityScheme",
        "mtlsSecurityScheme",
    ],
};

const SCHEME_SCOPES: Group = group(&[plain("list", TEXTS)]);

const REQUIREMENT: Group = group(&[plain("schemes", Named(&of(&SCHEME_SCOPES)))]);

const SKILL: Group = group(&[
    plain("id", Text),
    plain("name", Text),
    plain("description", Text),
    plain("tags", TEXTS),
    plain("examples", TEXTS),
    plain("inputModes", TEXTS),
    plain("outputModes", TEXTS),
    plain("securityRequirements", List(&of(&REQUIREMENT))),
]);

pub(crate) const SIGNATURE: Group =
    group(&[plain("protected", Text), plain("signature", Text), kept("header", Open)]);

/// Without its signatures.
pub(crate) const CARD: Group = group(&[
    plain("name", Text),
    plain("description", Text),
    plain("supportedInterfaces", List(&of(&INTERFACE))),
    kept("provider", of(&PROVIDER)),
    plain("version", Text),
    kept("documentationUrl", Text),
    kept("capabilities", of(&CAPABILITIES)),
    plain("securitySchemes", Named(&of(&SCHEME))),
    plain("securityRequirements", List(&of(&REQUIREMENT))),
    plain("defaultInputModes", TEXTS),
    plain("defaultOutputModes", TEXTS),
    plain("skills", List(&of(&SKILL))),
    kept("iconUrl", Text),
]);
