//! The console's pages: plain view structs and the templates that render them.
//!
//! Nothing here reads the store, a cookie or a clock: a page is a function of
//! its view, so that a test can render it, read it back and compare it with
//! what it was made from. Texts that come from outside are [`Text`]: they
//! cannot change how the text around them is shown.

mod account;
mod accounts;
mod activity;
mod agents;
mod approvals;
pub mod assets;
mod catalogue;
pub mod chart;
mod clients;
mod consent;
mod drawing;
mod failures;
mod figures;
mod frame;
mod grants;
mod graph;
pub mod headers;
mod inbox;
mod ledger;
mod lineage;
mod notices;
mod overview;
mod peers;
mod people;
mod policy;
mod requests;
mod runs;
mod settings;
mod standings;
mod stops;
mod text;
mod workflows;

pub use account::{EnrolPage, LoginLine, LoginPage, PasskeyLine, PasskeysPage, Provider};
pub use accounts::{AccountLine, AccountsPage};
pub use activity::{ActivityFilter, ActivityPage, EntryLine, EntryPage, Member};
pub use agents::{AgentLine, AgentPage, AgentsPage, InstanceLine};
pub use approvals::{
    ApprovalLine, ApprovalPage, ApprovalRevokePage, ArgumentLine, Deciding, EarlierLine, SaidLine,
    Undoing,
};
pub use catalogue::{
    CataloguePage, DefinitionPage, DifferenceLine, FlagLine, RatingLine, RiskMark, ToolLine,
};
pub use clients::{ClientLine, ClientsPage};
pub(crate) use consent::duration;
pub use consent::{
    AgentCard, Argument, Beside, ChooseTaskPage, ClientCard, ConsentPage, Limit, Requested,
    Signing, ToolCard, ToolFacts, WorkflowChoice,
};
pub use drawing::{Line, Pill, Point};
pub use failures::{FailureCard, FailureColumn, FailurePage, FailuresPage};
pub use figures::{
    ComparePage, ComparedLine, Counted, FigureCard, FigureChoices, FigureFilter, FiguresPage,
    ScopeLine,
};
pub use frame::{Frame, Person, Section};
pub use grants::{GrantLine, GrantPage, GrantsPage, RootLine, Standing};
pub use graph::{Arrow, Graph, PlacedArrow, PlacedNode, Vertex};
pub use inbox::{ApprovalsPage, ApproverLine, FatigueFigures, InboxFilter};
pub use ledger::{LedgerFilter, LedgerPage};
pub use lineage::{HopBy, HopLine, HopStanding, TaskPage, Tree, TreeLine, TreeNode};
pub use notices::{ConfirmPage, ErrorPage, LeavePage, ProgramPage};
pub use overview::{HealthLine, OverviewPage, TodoLine};
pub use peers::{
    Between, ClaimLine, ContextLine, FlowLine, HandoffLine, HandoffPage, HandoffStanding,
    HandshakeLine, OfferTexts, PeerLine, PeersPage, ReturnTexts,
};
pub use people::{HeirChoice, LinkPage, OffboardPage, PeoplePage, PersonLine, PersonPage};
pub use policy::{
    BundleCard, ExplainPage, FlipLine, PolicyFile, PolicyLine, PolicyPage, PublicationLine,
    ReplayPage, WordCard,
};
pub use requests::{AskedShorthand, RequestLine, RequestPage, RequestsPage};
pub use runs::{
    CallLine, ContextItemLine, EvidenceLine, FoundLine, ReviewDraft, Reviewing, RunFilterView,
    RunLine, RunPage, RunReviewLine, RunsPage, SpentLine, UndoLine,
};
pub use settings::{KeyLine, ProviderLine, SettingLine, SettingsPage};
pub use standings::{
    BatchLine, BatchPage, BoundLine, LooseLine, NewStandingPage, Signable, StandingLine,
    StandingPage, TermsView,
};
pub use stops::{ResumedLine, Resuming, StopLine, StopPage, StopShownPage, StopsPage};
pub use text::{Moment, Text};
pub use workflows::{
    AutonomyLine, ChangeLine, CheckItem, CriterionLine, LevelPicture, LevelStep, Raising,
    RatedTool, RollbackLine, TargetLine, VersionLine, WaitingLine, WorkflowChangesPage,
    WorkflowLine, WorkflowPage, WorkflowsPage,
};
