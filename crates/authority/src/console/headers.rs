//! The headers of every page.

/// The policy of every page: nothing but our own stylesheet, script and
/// images; no frame around it; forms go to ourselves only. Redirects to clients
/// are navigations of a page, not of a form, because `form-action` would cover
/// a form's redirects too.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; \
     script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

/// Header names and values of every page. Pages are a person's own: nothing
/// keeps them.
pub const PAGE: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "publickey-credentials-get=(self), publickey-credentials-create=(self)"),
    ("cache-control", "no-store"),
];

/// Those of the files that pages name: kept, but asked again each time.
pub const ASSET: [(&str, &str); 4] = [
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-cache"),
];
