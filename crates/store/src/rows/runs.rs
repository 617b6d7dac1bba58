//! Runs: attempts at tasks, with what they used and what speaks for them.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, GrantId, InstanceId, RunId, TaskId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// Where a run stands.
    RunState {
        /// It goes on.
        Open = "open",
        /// Its agent said that it is complete.
        Claimed = "claimed",
        /// It simply stopped.
        Abandoned = "abandoned",
    }
}

text_enum! {
    /// What a person says of a run.
    ReviewVerdict {
        /// It is as it should be.
        Accepted = "accepted",
        /// It was put right, and what was wrong is said.
        Corrected = "corrected",
        /// It is of no use.
        Rejected = "rejected",
    }
}

text_enum! {
    /// What an item of a run's context is.
    ContextKind {
        /// A document.
        Document = "document",
        /// Something remembered from earlier runs.
        Memory = "memory",
        /// A prompt or an instruction.
        Prompt = "prompt",
        /// What a tool gave.
        ToolOutput = "tool_output",
    }
}

/// One attempt at a task by an agent. Its goal, and the digest of the instruction, are
/// behind the entry's commitments: `goal` and `instruction_sha256`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// The task.
    pub task: TaskId,
    /// Which attempt at the task it is, from 1.
    pub attempt: u32,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version.
    pub workflow_digest: Digest,
    /// The agent.
    pub agent: AgentId,
    /// The instance that started it.
    pub instance: InstanceId,
    /// On whose authority.
    pub principal: Alias,
    /// The grant behind the chain that started it.
    pub grant: GrantId,
    /// The root's token hash.
    pub root: Digest,
    /// The goal's keyed digest: equal goals are known, and nobody can guess one.
    pub goal: Digest,
    /// Whether the agent stated a digest of the principal's instruction.
    pub instructed: bool,
    /// When it began.
    pub started: Timestamp,
    /// When it is abandoned, if nothing came of it.
    pub deadline: Timestamp,
    /// When it was claimed or abandoned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Whether it counts as complete, as last derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// What was last said in a review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewVerdict>,
    /// What it took.
    #[serde(default)]
    pub spent: RunSpent,
}

/// What a run took, as its agent states it; sums.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpent {
    /// Rounds of the agent's loop.
    pub iterations: u64,
    /// Calls of a model.
    pub model_calls: u64,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// What models cost, in millionths of `currency`.
    pub cost_micros: u64,
    /// Three letters (ISO 4217); one for a whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// An item of context that a run used. The source's name is behind the entry's
/// commitments where it is not one that the workflow lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunContext {
    /// The run.
    pub run: RunId,
    /// Its number in the run, from 1.
    pub n: u32,
    /// What it is.
    pub kind: ContextKind,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Where it is from: a source that the workflow lists, a receipt's action id, or
    /// `undeclared`.
    pub source: String,
    /// The agent's label for it, `declared` or `undeclared`, or a data class.
    pub label: String,
    /// Whether the workflow lists its source.
    pub declared: bool,
    /// When it was noted.
    pub noted: Timestamp,
}

/// Something that speaks for or against a criterion of a run's workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEvidence {
    /// The run.
    pub run: RunId,
    /// Its number in the run, from 1.
    pub n: u32,
    /// The criterion's id.
    pub criterion: String,
    /// How strong it is: `self_report` < `self_check` < `observed` < `independent`
    /// < `human`.
    pub grade: String,
    /// Whether it says that the criterion is met.
    pub holds: bool,
    /// The call whose receipt it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// Who says so: an agent, a named check (`check:NAME`), or a person's alias.
    pub by: String,
    /// When.
    pub made: Timestamp,
    /// The index of the last entry that whoever says so had seen, where that is not
    /// the one before its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
}

/// A person's word on a run. What was put right, and why, is behind the entry's
/// commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReview {
    /// The run.
    pub run: RunId,
    /// Its number in the run, from 1.
    pub n: u32,
    /// What was said.
    pub verdict: ReviewVerdict,
    /// By whom.
    pub reviewer: Alias,
    /// When.
    pub made: Timestamp,
}

/// Calls of a run that were decided alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCalls {
    /// The tool id; empty, if the call named none.
    pub tool: String,
    /// `allow`, `deny` or `approval_required`.
    pub decision: String,
    /// The reason of a denial; empty otherwise.
    pub reason: String,
    /// How many.
    pub calls: u64,
}
