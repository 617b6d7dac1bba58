//! Denials: normal, typed results with a stable code, a sentence and a remedy.
//!
//! A denial has two audiences. The ledger and the operator get the code; a
//! caller that stages 1 and 2 did not authenticate learns only that it is not
//! ([`Denial::on_the_wire`]).

use std::fmt;

use crate::ids::ApprovalId;
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// A stage of DESIGN §4 that may stop an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// 1: bytes to a well-formed request.
    Boundary,
    /// 2: who is calling.
    Identity,
    /// 3: the delegation covers this call.
    Authority,
    /// 4: the organisation's policy.
    Policy,
    /// 5: a person's decision.
    Approval,
    /// 6: record and call.
    Effect,
}

impl Stage {
    /// Its name in records and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Boundary => "boundary",
            Self::Identity => "identity",
            Self::Authority => "authority",
            Self::Policy => "policy",
            Self::Approval => "approval",
            Self::Effect => "effect",
        }
    }
}

macro_rules! reasons {
    ($($variant:ident, $code:literal, $stage:ident, $spec:literal, $message:literal, $remedy:literal;)*) => {
        /// Why an action was denied; the table that all audiences read from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $message] $variant,)* }

        impl Reason {
            /// Every reason, in order of the stages.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$variant => $code,)* }
            }

            /// The stage that says it.
            #[must_use]
            pub const fn stage(self) -> Stage {
                match self { $(Reason::$variant => Stage::$stage,)* }
            }

            /// The rule it follows: a step of draft -02, or a section of the design.
            #[must_use]
            pub const fn spec(self) -> &'static str {
                match self { $(Reason::$variant => $spec,)* }
            }

            /// One sentence, lower case, that a person understands.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Reason::$variant => $message,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Reason::$variant => $remedy,)* }
            }

            /// Reads a code.
            #[must_use]
            pub fn parse(code: &str) -> Option<Self> {
                match code { $($code => Some(Reason::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    // 1 boundary
    RequestMalformed, "request-malformed", Boundary, "DESIGN §4.1", "the request is not a well-formed message of the protocol", "send one JSON-RPC message with the headers that the protocol version asks for";
    RequestTooLarge, "request-too-large", Boundary, "DESIGN §4.1", "the request is larger or deeper than this gateway accepts", "send less, or ask the operator for the limits in force";
    JsonMalformed, "json-malformed", Boundary, "AAT ch. 8", "the request is not strict JSON", "send RFC 8259 JSON without lone surrogates or out-of-range numbers";
    JsonDuplicateMember, "json-duplicate-member", Boundary, "AAT ch. 8", "a member name stands twice in one object", "send every member once";
    JsonNotUtf8, "json-not-utf8", Boundary, "AAT ch. 8", "the request is not UTF-8", "encode the request as UTF-8";
    HeaderMismatch, "header-mismatch", Boundary, "MCP 2026-07-28", "a header disagrees with the message it describes", "make `Mcp-Method`, `Mcp-Name` and the protocol version agree with the body";
    OriginNotAllowed, "origin-not-allowed", Boundary, "MCP transports", "the request comes from an origin that is not allowed", "call from the gateway's own origin, or without an `Origin` header";
    MethodUnknown, "method-unknown", Boundary, "DESIGN §6", "the method has no row in the table of methods", "use a method of the protocol version that was negotiated";
    NotEnforceable, "not-enforceable", Boundary, "DESIGN §4", "what the request asks for cannot be enforced where it would be forwarded", "send it to the gateway's own endpoint: sessions, listings, streams and a presentation in `_meta` need a gateway that sees the answers";
    PresentationMissing, "presentation-missing", Boundary, "AAT 1", "the call carries no chain and proof", "present a chain and a proof of possession made for this call";
    PresentationMalformed, "presentation-malformed", Boundary, "AAT §7.4", "the chain or the proof is not in compact JWS form", "send the chain root first, each token as three base64url parts without padding";
    ChainEmpty, "chain-empty", Boundary, "AAT 1", "the chain has no token", "present the chain from its root to your own token";
    TokenTooLarge, "token-too-large", Boundary, "AAT 2a", "a token is larger than allowed", "delegate fewer tools or simpler constraints in one token";
    ChainTooLarge, "chain-too-large", Boundary, "AAT 2b", "the chain is larger than allowed", "use fewer or smaller tokens";
    TokenIdRepeated, "token-id-repeated", Boundary, "AAT 2c", "two tokens have the same `jti`", "derive every token with a fresh `jti`";
    // 2 identity
    HeaderUnacceptable, "header-unacceptable", Identity, "AAT 3a 4a 7a", "a token's header has the wrong `typ`, an algorithm that is not allowed, or an unknown critical parameter", "sign with `alg` `Ed25519` and the `typ` of the token's kind, without `crit`";
    SignatureInvalid, "signature-invalid", Identity, "AAT 3b 4b", "a token's signature does not hold under the key that its place in the chain requires", "present the chain as it was issued and derived, complete and in order";
    ClaimsMalformed, "claims-malformed", Identity, "AAT 2c 3b-3m 4b1-4b5", "a token's claims are missing or malformed", "make tokens with `bailiwick attenuate` or a conforming library";
    IssuerUntrusted, "issuer-untrusted", Identity, "AAT 3k 4c", "a token's `iss` is not the issuer that its signature proves", "use a root of an issuer that this gateway trusts";
    TokenExpired, "token-expired", Identity, "AAT 3e 4i", "the delegation has run out", "ask the principal or the authority for a new delegation";
    TokenNotYetValid, "token-not-yet-valid", Identity, "AAT 3f 4k, DESIGN §6 nbf", "the delegation is not valid yet, or a clock is wrong", "wait until the start time, and check the clocks";
    LifetimeInvalid, "lifetime-invalid", Identity, "AAT 3g 3h 4l", "a token's lifetime is empty or longer than allowed", "issue with `exp` after `iat` and within the ceiling";
    DepthInvalid, "depth-invalid", Identity, "AAT 3c 3i 4d-4g 4m 5", "the delegation depth is wrong or beyond its ceiling", "derive from the last token of the chain and within its `del_max_depth`";
    ParentMismatch, "parent-mismatch", Identity, "AAT 3d 4q", "a token does not follow the one before it", "present the very chain from which the token was derived";
    ChildOutlivesParent, "child-outlives-parent", Identity, "AAT 4h 4j", "a derived token lives outside its parent's window", "derive with a window inside the parent's";
    AuthorityWidened, "authority-widened", Identity, "AAT 4p", "a derived token permits more than its parent", "derive only what the parent permits, or less";
    ConstraintInvalid, "constraint-invalid", Identity, "AAT 3n 4o", "a constraint is malformed, too deep or of an unknown type", "use the documented constraint types";
    AudienceMismatch, "audience-mismatch", Identity, "AAT 6c", "the delegation is not meant for this gateway", "use a delegation whose `aud` names this gateway";
    ProofInvalid, "proof-invalid", Identity, "AAT 7b 7c", "the proof of possession does not hold for this delegation", "sign the proof with the key that the last token names";
    ProofOtherAudience, "proof-other-audience", Identity, "AAT 7d", "the proof was made for another gateway", "make the proof for this gateway's audience";
    ProofOtherTool, "proof-other-tool", Identity, "AAT 7e", "the proof was made for another tool", "make a proof for the tool you call";
    ProofOtherArguments, "proof-other-arguments", Identity, "AAT 7f", "the proof was made for other arguments", "make a proof over the arguments you send";
    ProofNotFresh, "proof-not-fresh", Identity, "AAT 7g", "the proof is too old or from the future", "make a fresh proof for each call, and check the clocks";
    ProofNonce, "proof-nonce", Identity, "AAT 7h", "the proof lacks a nonce of this gateway", "repeat the call with the nonce that was supplied";
    ProofReplayed, "proof-replayed", Identity, "AAT 7i", "the proof was already used", "make a fresh proof for each call";
    KeyNotEnrolled, "key-not-enrolled", Identity, "DESIGN §3.1", "a holder key in the chain belongs to no enrolled instance", "enrol the instance before delegating to its key";
    InstanceInactive, "instance-inactive", Identity, "DESIGN §3.1", "an instance in the chain is not active", "ask the agent's owner";
    AgentInactive, "agent-inactive", Identity, "DESIGN §3.1", "an agent in the chain is suspended or retired", "ask the agent's owner";
    AgentMismatch, "agent-mismatch", Identity, "DESIGN §6", "the delegation was issued to another agent than the one whose key it names", "ask for a delegation for your own agent";
    PeerDomainStale, "peer-domain-stale", Identity, "DESIGN §3.8", "whom another trust domain revoked, whose agent is in the chain, is not known for now", "try again; the operator sees why that domain's feed is late";
    PrincipalInactive, "principal-inactive", Identity, "DESIGN §3.1", "the principal is not active", "ask the operator";
    ClaimContradiction, "claim-contradiction", Identity, "DESIGN §6", "a derived token states another principal, agent, task, purpose, workflow or grant than its root", "leave these claims to the root";
    AccountabilityMissing, "accountability-missing", Identity, "DESIGN §6", "the root does not say for whom, for which task and under which grant it was issued", "use a root that this authority issued";
    BudgetWidened, "budget-widened", Identity, "DESIGN §6", "a derived token has a larger budget than its parent", "derive with a budget within the parent's";
    RevocationStale, "revocation-stale", Identity, "DESIGN §3.8", "what is known about revocations is older than the staleness bound", "try again; the operator sees why the feed is late";
    ClockBehind, "clock-behind", Identity, "DESIGN §8", "the gateway's clock is behind its last durable entry", "the operator must mend the clock";
    StateUnavailable, "state-unavailable", Identity, "DESIGN §3.4", "the gateway cannot read its registry", "try again later";
    SessionMismatch, "session-mismatch", Identity, "DESIGN §6", "the session belongs to another key or delegation", "open a session of your own";
    // 3 authority
    AnswerUnasked, "answer-unasked", Authority, "DESIGN §3.1", "no call of this session waits for this answer", "answer a question once, in the session that it came in, while its call runs";
    EventUnknown, "event-unknown", Authority, "DESIGN §3.8", "no stream of this session has such an event, or what came after it is gone", "open the stream without `Last-Event-ID`; find out what became of a call whose answer is lost before calling again";
    ParamHeaderMismatch, "param-header-mismatch", Authority, "MCP 2026-07-28", "a `Mcp-Param-…` header is missing or does not say what the argument says", "read the tool's definition again and repeat each argument that it marks with `x-mcp-header` in its header";
    Revoked, "revoked", Authority, "DESIGN §3.8", "the delegation, or something it depends on, was revoked", "ask the principal for a new delegation";
    Stopped, "stopped", Authority, "DESIGN §3.8", "the agent, the task, the workflow or everything was stopped", "do not send it again until an owner has resumed it; `bailiwick stops list` says why it was stopped";
    GrantNotStanding, "grant-not-standing", Authority, "DESIGN §3.9", "the grant behind this delegation is unknown or has ended", "ask the principal for a new grant";
    EntitlementExceeded, "entitlement-exceeded", Authority, "DESIGN §3.2", "the grant reaches beyond what its principal may do now", "ask the principal for a grant within their entitlements";
    ToolNotDelegated, "tool-not-delegated", Authority, "AAT 6b", "the delegation does not include this tool", "ask the principal for a delegation that includes it (`request_authority`), or do without";
    ArgumentNotDelegated, "argument-not-delegated", Authority, "AAT 6b", "an argument lies outside the delegated scope", "stay within the scope, or ask the principal for more (`request_authority`)";
    ArgumentMissing, "argument-missing", Authority, "AAT 6b", "an argument that the delegation requires is missing", "send the required argument";
    ArgumentUnnamed, "argument-unnamed", Authority, "AAT 6b", "an argument is not named by the delegation", "leave the argument out";
    NumberInadmissible, "number-inadmissible", Authority, "AAT §3.4", "a number cannot be represented exactly", "send large or long numbers as strings";
    ToolNotCatalogued, "tool-not-catalogued", Authority, "DESIGN §4.3", "the tool is not in the catalogue of the task's workflow", "ask the workflow's owner to catalogue and pin the tool";
    ToolChanged, "tool-changed", Authority, "DESIGN §4.3", "the tool's definition changed since it was catalogued", "ask the tool's owner to review and pin the new definition";
    ArgumentsInvalid, "arguments-invalid", Authority, "DESIGN §4.3", "the arguments do not fit the tool's pinned schema", "send arguments that fit the schema in `tools/list`";
    TaskNotDeclared, "task-not-declared", Authority, "MCP 2026-07-28", "the client does not declare that it follows tasks", "declare the extension `io.modelcontextprotocol/tasks` with every message about a task";
    TaskNotListed, "task-not-listed", Authority, "DESIGN §3.3", "the workflow does not let this tool server go on with a call as a task", "call without `task`, or have the workflow's owner list `task_seconds` for the tool server";
    TaskUnknown, "task-unknown", Authority, "DESIGN §3.8", "this delegation has no such task, or it has ended", "find out what became of the call before calling again";
    AgentCardRefused, "agent-card-refused", Authority, "A2A §8.4", "the agent's card is not one that its registered keys signed for where it is reached", "ask the agent's operator for a card signed by a registered key; `bailiwick a2a add` says what is wrong with the present one";
    AgentLoop, "agent-loop", Authority, "DESIGN §3.2", "the agent that is called is one of those on whose behalf the call is made", "answer the agent that called you instead of calling it";
    PeerTaskEnded, "peer-task-ended", Authority, "A2A §3.1.1", "the task has ended and takes no further message", "send a message without `taskId`, which begins another task";
    PeerTaskUnknown, "peer-task-unknown", Authority, "A2A §13.1", "this caller has no such task at this agent", "name a task or context that this instance began under this delegation's task";
    PushTargetRefused, "push-target-refused", Authority, "A2A §13.2", "push notifications to this address are not allowed", "poll the task, or ask the operator to list the host under `a2a.push_hosts`";
    TooManyCalls, "too-many-calls", Authority, "DESIGN §9", "too many calls of this instance are under way", "wait until some of them have ended";
    BudgetSpent, "budget-spent", Authority, "DESIGN §3.2", "a budget of the delegation is spent", "ask the principal for a new delegation";
    BudgetWindowSpent, "budget-window-spent", Authority, "DESIGN §3.2", "a budget of the delegation is spent until its next window", "send the call again, with a fresh proof, from `retry_at` on";
    RequestFlood, "request-flood", Authority, "DESIGN §9", "the task asks for more authority too often", "wait until people have decided about what was asked, and ask for less at once";
    RequestRefused, "request-refused", Authority, "DESIGN §3.2", "what is asked for is nothing that anybody could grant to this task", "ask for shorthands that the task's workflow offers, with a reason, while the task's own delegation stands";
    RequestUnknown, "request-unknown", Authority, "DESIGN §3.1", "this instance has no such request for this task", "ask with the id that the request got, under the same task and with the same instance's key";
    RequestUnavailable, "request-unavailable", Authority, "DESIGN §3.4", "requests for more authority cannot be read or written now", "try again later; the operator sees why";
    RunRefused, "run-refused", Authority, "DESIGN §2", "what is said of the run does not stand as it is, so nothing of it was written", "read `why`: it names the member, the criterion or the receipt, and what to send instead";
    RunUnknown, "run-unknown", Authority, "DESIGN §2", "this task has no such open run", "begin one with `run_begin`; leave `run` out, or name the run that is open";
    RunUnavailable, "run-unavailable", Authority, "DESIGN §3.4", "runs cannot be read or written now", "try again later; the operator sees why";
    // 4 policy
    PolicyDenied, "policy-denied", Policy, "DESIGN §4.4", "a rule of the organisation forbids this call", "ask the workflow's owner";
    PolicyError, "policy-error", Policy, "DESIGN §4.4", "a policy of the organisation could not be evaluated for this call", "ask the security administrator to test the policy that the record names";
    PolicyUnavailable, "policy-unavailable", Policy, "DESIGN §4.4", "the organisation's policy cannot be read", "ask the operator to run `bailiwick doctor`";
    NoPolicy, "no-policy", Policy, "DESIGN §4.4", "no policy of the organisation allows this call", "ask the workflow's owner; where no policy is published yet, an administrator runs `bailiwick policy publish`";
    AttestedGrantCapped, "attested-grant-capped", Policy, "DESIGN §3.9", "a grant without the principal's own signature reaches low risk only", "ask the principal to sign a grant";
    AssuranceTooLow, "assurance-too-low", Policy, "DESIGN §2", "the proof that came with the call is too weak for this tool", "prove possession over the arguments";
    SourceUndeclared, "source-undeclared", Policy, "DESIGN §2", "the workflow's data sources do not list what this call reads from", "read from a source that the workflow lists, or ask its owner to publish a version that lists this one under `data_sources`";
    RunRequired, "run-required", Policy, "DESIGN §2", "the workflow allows calls only inside of an open run of their task", "begin a run of the task with `run_begin`, and call again";
    // 5 approval
    ApprovalRequired, "approval-required", Approval, "DESIGN §4.5", "the call needs a person's approval", "send the same call again, with a fresh proof, when people have decided";
    ApprovalDenied, "approval-denied", Approval, "DESIGN §4.5", "a person denied the call", "do not repeat it; make the call that `suggestion` describes if there is one, or ask the approver why";
    ApprovalFlood, "approval-flood", Approval, "DESIGN §9", "the task asks for people's approval too often", "wait, and ask for less at once";
    ApprovalUnavailable, "approval-unavailable", Approval, "DESIGN §3.4", "the call needs a person's approval, and approvals cannot be read or written now", "try again later; the operator sees why";
    RequestStateInvalid, "request-state-invalid", Approval, "MCP 2026-07-28", "the `requestState` was not made here for this caller and this call, or has run out", "send the call again without `requestState` and `inputResponses`";
    // 6 effect
    ApprovalSpent, "approval-spent", Effect, "DESIGN §4.5", "the approval was used by another call, or counts no more", "send the call again, with a fresh proof: people are asked anew";
    RunEnded, "run-ended", Effect, "DESIGN §2", "the run to which the call belongs has ended since it was checked", "send the call again, with a fresh proof; begin another run first if the call is part of one";
    RecordUnavailable, "record-unavailable", Effect, "DESIGN §3.3", "the decision could not be recorded, so nothing was sent", "try again later; the operator sees why";
    UpstreamAccountMissing, "upstream-account-missing", Effect, "DESIGN §3.5", "the principal has no account of their own at this tool server, which serves no other", "the principal connects their account in the console, on the page `Accounts`; or ask the operator to put their credential into the vault: `bailiwick vault set SERVER --principal NAME`";
    CredentialUnavailable, "credential-unavailable", Effect, "DESIGN §3.5", "the gateway's credential for this tool server cannot be had now", "try again later; the operator sees why with `bailiwick doctor`";
    UpstreamUnavailable, "upstream-unavailable", Effect, "DESIGN §4.6", "the tool server cannot be reached", "try again later";
}

/// A denial with what the operator needs to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// Why.
    pub reason: Reason,
    /// The step of draft -02 that failed, if it was one.
    pub step: Option<&'static str>,
    /// Which token of the chain, from 0.
    pub token: Option<usize>,
    /// Which tool, argument or claim, by name; never a value.
    pub subject: Option<String>,
    /// From when on the same call may pass, if only waiting helps.
    pub retry_at: Option<Timestamp>,
    /// The question that people are asked, if the call waits for them.
    pub waits: Option<Box<Waits>>,
    /// Arguments that the person who denied it suggests instead: they grant
    /// nothing.
    pub suggestion: Option<Box<Object>>,
}

/// A call that waits for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// The question's id.
    pub id: ApprovalId,
    /// Until when it waits.
    pub expires: Timestamp,
    /// Where people see it.
    pub url: Option<String>,
    /// Where its caller may ask how it stands.
    pub poll: Option<String>,
}

/// Seconds after which it is worth asking again whether people have decided.
pub const WAIT_SECONDS: u64 = 2;

impl Waits {
    /// As callers are told.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut waits =
            Object::new().with("id", &self.id).with("expires_at", self.expires.to_string());
        for (name, url) in [("url", &self.url), ("poll", &self.poll)] {
            if let Some(url) = url {
                waits.insert(name, url.as_str());
            }
        }
        waits.into()
    }
}

impl Denial {
    /// A denial for `reason`.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self {
            reason,
            step: None,
            token: None,
            subject: None,
            retry_at: None,
            waits: None,
            suggestion: None,
        }
    }

    /// With the step of draft -02.
    #[must_use]
    pub const fn at_step(mut self, step: &'static str) -> Self {
        self.step = Some(step);
        self
    }

    /// With the token's place in the chain.
    #[must_use]
    pub const fn of_token(mut self, index: usize) -> Self {
        self.token = Some(index);
        self
    }

    /// With the name of the tool, argument or claim.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// With the moment from which on it is worth trying again.
    #[must_use]
    pub const fn until(mut self, retry_at: Timestamp) -> Self {
        self.retry_at = Some(retry_at);
        self
    }

    /// With the question that people are asked.
    #[must_use]
    pub fn waiting(mut self, waits: Waits) -> Self {
        self.waits = Some(Box::new(waits));
        self
    }

    /// With the arguments that a person suggests instead.
    #[must_use]
    pub fn suggesting(mut self, arguments: Object) -> Self {
        self.suggestion = Some(Box::new(arguments));
        self
    }

    /// Whether the caller was authenticated when it was denied, and so may
    /// learn the reason (DESIGN §3.4).
    #[must_use]
    pub fn caller_is_known(&self) -> bool {
        self.reason.stage() >= Stage::Authority
    }

    /// Code, sentence and remedy as the caller may see them.
    #[must_use]
    pub fn on_the_wire(&self) -> WireDenial {
        if self.caller_is_known() {
            let message = match &self.subject {
                Some(subject) => format!("{} (`{}`)", self.reason.message(), subject),
                None => self.reason.message().to_owned(),
            };
            WireDenial {
                code: self.reason.code(),
                message,
                remedy: self.reason.remedy(),
                retry_at: self.retry_at,
                waits: self.waits.clone(),
                suggestion: self.suggestion.clone(),
            }
        } else {
            WireDenial {
                code: NOT_AUTHENTICATED,
                message: "the caller is not authenticated".to_owned(),
                remedy: "present a current delegation for this gateway with a fresh proof by its key; the operator sees the reason under the decision id",
                retry_at: None,
                waits: None,
                suggestion: None,
            }
        }
    }
}

/// The one code that an unauthenticated caller ever sees.
pub const NOT_AUTHENTICATED: &str = "not-authenticated";

/// What a denied caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireDenial {
    /// The stable code.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
    /// From when on the same call may pass, if only waiting helps.
    pub retry_at: Option<Timestamp>,
    /// The question that people are asked, if the call waits for them.
    pub waits: Option<Box<Waits>>,
    /// Arguments that a person suggests instead.
    pub suggestion: Option<Box<Object>>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.message())?;
        if let Some(subject) = &self.subject {
            write!(f, " (`{subject}`)")?;
        }
        if let Some(token) = self.token {
            write!(f, " [token {token}]")?;
        }
        if let Some(step) = self.step {
            write!(f, " [step {step}]")?;
        }
        if let Some(retry_at) = self.retry_at {
            write!(f, " [until {retry_at}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case_and_read_back() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()));
            assert!(
                reason
                    .code()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert_eq!(Reason::parse(reason.code()), Some(*reason));
            assert!(!reason.remedy().is_empty() && !reason.message().ends_with('.'));
        }
    }

    #[test]
    fn an_unknown_caller_learns_only_that_it_is_unknown() {
        let texts: std::collections::HashSet<_> = Reason::ALL
            .iter()
            .filter(|r| r.stage() < Stage::Authority)
            .map(|r| format!("{:?}", Denial::new(*r).about("secret").on_the_wire()))
            .collect();
        assert_eq!(texts.len(), 1);
        assert!(!texts.iter().any(|t| t.contains("secret")));
    }
}
