//! Every limit of this crate in one place. Limits are counts and sizes.

/// Bytes of one workflow file. The bundled one has 3 KiB.
pub const MAX_WORKFLOW_BYTES: usize = 256 * 1024;
/// Nesting of a workflow file: the members need 7 levels, constraint trees the rest.
pub const MAX_WORKFLOW_DEPTH: usize = 40;
/// Scalars, lists and maps in one workflow file.
pub const MAX_WORKFLOW_NODES: usize = 50_000;
/// Problems reported at once: more help nobody.
pub const MAX_PROBLEMS: usize = 50;
/// Characters of a purpose, a version label or a data class.
pub const MAX_LABEL_CHARS: usize = 500;
/// Seconds of the longest window a workflow may allow: the ceiling on a
/// token's life in `bailiwick_core::limits`.
pub const MAX_WINDOW_SECONDS: u64 = 7_776_000;
/// The longest time a tool may be given, in seconds.
pub const MAX_TIMEOUT_SECONDS: u64 = 3_600;
/// Longest time for which a call may go on as a task, seconds: a day. It holds
/// authority open, so that a job of weeks is better started by a short call.
pub const MAX_TASK_SECONDS: u64 = 86_400;
/// Depth of one constraint tree, as at the gateway.
pub const MAX_CONSTRAINT_DEPTH: usize = 32;
/// Shorthands in one request.
pub const MAX_SHORTHANDS_ASKED: usize = 64;
/// Bytes of one shorthand as asked for.
pub const MAX_SHORTHAND_BYTES: usize = 256;
/// Digits of an integer parameter: every such number is an exact double.
pub const MAX_INTEGER_DIGITS: usize = 15;
/// Characters of a string parameter.
pub const MAX_PARAMETER_CHARS: usize = 128;
/// Members of a workflow's budget, as many as a request may ask for.
pub const MAX_BUDGET_MEMBERS: usize = 16;
/// The largest ceiling of a budget's member: an exact double.
pub const MAX_BUDGET: u64 = 1_000_000_000_000_000;
/// Completion criteria of one workflow: a person reads them all.
pub const MAX_CRITERIA: usize = 32;
/// Steps of one rollback plan.
pub const MAX_ROLLBACK_STEPS: usize = 32;
/// Entries of each list of data sources.
pub const MAX_SOURCES: usize = 64;
/// Expectations of one tool's answer.
pub const MAX_EXPECTATIONS: usize = 16;
/// Ways to be a reviewer.
pub const MAX_REVIEWERS: usize = 16;
/// Characters of a criterion's or a step's id: it stands in entries.
pub const MAX_CHECKLIST_ID_CHARS: usize = 64;
/// Bytes of the arguments of a check or a rollback step, as canonical JSON.
pub const MAX_CHECK_ARGUMENT_BYTES: usize = 4 * 1024;
/// Bytes of a JSON pointer.
pub const MAX_POINTER_BYTES: usize = 256;
/// Every how many runs a review may be due at the rarest.
pub const MAX_REVIEW_EVERY: u64 = 1_000;
/// Days over which targets may be measured: a year.
pub const MAX_EVALUATION_DAYS: u64 = 366;
/// Runs that an evaluation may ask for.
pub const MAX_EVALUATION_RUNS: u64 = 1_000_000;
/// Runs that figures must be of at least, for work that no person watches.
pub const AUTONOMOUS_RUNS: u32 = 20;
/// Of how many tasks such work must succeed at least, in millionths.
pub const AUTONOMOUS_SUCCESS: u64 = 500_000;
/// Percent of confidence that an evaluation may ask for, from and to.
pub const CONFIDENCE_PERCENT: (u64, u64) = (80, 99);
/// Failed runs that an error budget may allow.
pub const MAX_FAILED_RUNS: u64 = 1_000_000;
/// Hours of the longest window of an error budget: a year.
pub const MAX_ERROR_WINDOW_HOURS: u64 = 8_784;
/// The largest bound on a measure, in millionths: a billion.
pub const MAX_BOUND: u64 = 1_000_000_000_000_000;
/// Flags reported for one tool definition.
pub const MAX_FLAGS: usize = 32;
/// Files of one bundle of policies.
pub const MAX_BUNDLE_FILES: usize = 1_000;
/// Bytes of all files of a bundle: some 10,000 policies.
pub const MAX_BUNDLE_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of a bundle as JSON, where quotes and line ends have two: the ledger keeps
/// it twice beside its entry.
pub const MAX_BUNDLE_DOCUMENT_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a file's name in a bundle.
pub const MAX_BUNDLE_NAME_BYTES: usize = 128;
/// Bytes of one policy. Readers and evaluation recurse over it.
pub const MAX_POLICY_BYTES: usize = 8 * 1024;
/// Brackets open at once in one policy.
pub const MAX_POLICY_DEPTH: usize = 32;
/// Words, operators and accesses in one policy, texts and lists aside: each may be a level of its tree.
pub const MAX_POLICY_STEPS: usize = 250;
/// Levels of a policy in Cedar's JSON form, two for each operator within another:
/// evaluation must end on the stack of any thread.
pub const MAX_POLICY_LEVELS: usize = 64;
/// Characters of a policy's id: it stands in entries.
pub const MAX_POLICY_ID_CHARS: usize = 64;
/// Policies that a record names of those behind one answer; the others are counted.
pub const MAX_REASONS: usize = 16;
