//! The table of routes.

use super::{Access, Route, SIGNED_IN, change, create, learning, read, work};
use crate::http::api::{
    agents, approvals, clients, grants, inbox, login, peers, people, requests, standings, stops,
};
use crate::people::roles::Deed;

/// Every route.
pub(in crate::http::api) static ROUTES: &[Route] = &[
    Route {
        answer: (201, Some("Login")),
        refusals: &[410],
        ..change(
            "login",
            "/api/v1/login",
            "Redeem the code that the console gave a program for its key.",
            Access::Anyone,
            Some("LoginRequest"),
            login::redeem,
        )
    },
    Route {
        refusals: &[],
        ..change("logout", "/api/v1/logout", "End this login.", SIGNED_IN, None, login::end)
    },
    read("me", "/api/v1/me", "Who is signed in, with which roles.", SIGNED_IN, "Me", login::me),
    read(
        "logins",
        "/api/v1/logins",
        "One's own logins at identity providers, and where one could add another.",
        SIGNED_IN,
        "Logins",
        login::logins,
    ),
    Route {
        refusals: &[404],
        query: &["principal"],
        ..read(
            "grants",
            "/api/v1/grants",
            "One's own grants, newest first; with a role, anybody's.",
            SIGNED_IN,
            "Grants",
            grants::list,
        )
    },
    Route {
        refusals: &[404],
        ..read(
            "grant",
            "/api/v1/grants/{id}",
            "One grant: what was signed, and the roots under it.",
            SIGNED_IN,
            "Grant",
            grants::show,
        )
    },
    change(
        "revokeGrant",
        "/api/v1/grants/{id}/revoke",
        "Take a grant back, with every delegation under it.",
        SIGNED_IN,
        None,
        grants::revoke,
    ),
    change(
        "revokeDelegation",
        "/api/v1/delegations/{root}/revoke",
        "Take one delegation back, with what was derived from it; the grant stays.",
        SIGNED_IN,
        None,
        grants::revoke_root,
    ),
    read(
        "agents",
        "/api/v1/agents",
        "Registered agents; without a role, one's own.",
        SIGNED_IN,
        "Agents",
        agents::list,
    ),
    create(
        "addAgent",
        "/api/v1/agents",
        "Register an agent under its owner.",
        Access::Deed(Deed::AddAgents),
        Some("NewAgent"),
        "Agent",
        agents::add,
    ),
    Route {
        refusals: &[404],
        ..read(
            "agent",
            "/api/v1/agents/{id}",
            "One agent with its instances.",
            SIGNED_IN,
            "Agent",
            agents::show,
        )
    },
    Route {
        answer: (200, Some("Agent")),
        ..change(
            "setAgentStatus",
            "/api/v1/agents/{id}/status",
            "Suspend, resume or retire an agent.",
            SIGNED_IN,
            Some("NewStatus"),
            agents::status,
        )
    },
    Route {
        fresh: true,
        answer: (200, Some("Transfer")),
        ..change(
            "transferAgent",
            "/api/v1/agents/{id}/owner",
            "Give an agent to another owner; what ran as it is enrolled and mapped again.",
            Access::Deed(Deed::TransferAgents),
            Some("NewOwner"),
            agents::transfer,
        )
    },
    Route {
        fresh: true,
        ..create(
            "inviteInstance",
            "/api/v1/agents/{id}/invitations",
            "Make a one-time token with which an instance of the agent enrols itself.",
            SIGNED_IN,
            None,
            "Invitation",
            agents::invite,
        )
    },
    read(
        "clients",
        "/api/v1/clients",
        "OAuth clients and the agents that they are.",
        Access::Deed(Deed::SeeClients),
        "Clients",
        clients::list,
    ),
    Route {
        fresh: true,
        ..create(
            "addClient",
            "/api/v1/clients",
            "Register a client from its metadata (RFC 7591).",
            Access::Deed(Deed::MapClients),
            Some("NewClient"),
            "Client",
            clients::add,
        )
    },
    Route {
        fresh: true,
        answer: (200, Some("Client")),
        ..change(
            "mapClient",
            "/api/v1/clients/{id}/agent",
            "Say which registered agent a client is.",
            Access::Deed(Deed::MapClients),
            Some("Mapping"),
            clients::map,
        )
    },
    Route {
        answer: (200, Some("Client")),
        ..change(
            "setClientStatus",
            "/api/v1/clients/{id}/status",
            "Suspend, resume or retire a client.",
            Access::Deed(Deed::MapClients),
            Some("NewStatus"),
            clients::status,
        )
    },
    read(
        "principals",
        "/api/v1/principals",
        "Principals with their roles.",
        Access::Deed(Deed::TendPeople),
        "Principals",
        people::list,
    ),
    Route {
        fresh: true,
        ..create(
            "addPrincipal",
            "/api/v1/principals",
            "Register a person, or a service with its public key.",
            Access::Deed(Deed::TendPeople),
            Some("NewPrincipal"),
            "Principal",
            people::add,
        )
    },
    Route {
        fresh: true,
        ..create(
            "linkPrincipal",
            "/api/v1/principals/{id}/links",
            "Make a one-time link by which a person enrols a passkey.",
            Access::Deed(Deed::TendPeople),
            None,
            "Link",
            people::link,
        )
    },
    Route {
        fresh: true,
        ..change(
            "setPrincipalStatus",
            "/api/v1/principals/{id}/status",
            "Suspend, resume or retire a principal.",
            Access::Deed(Deed::TendPeople),
            Some("NewStatus"),
            people::status,
        )
    },
    Route {
        fresh: true,
        answer: (200, Some("Offboarded")),
        ..change(
            "offboardPrincipal",
            "/api/v1/principals/{id}/offboard",
            "End a person's authority for good; their agents move or are retired.",
            Access::Deed(Deed::TendPeople),
            Some("Offboarding"),
            people::offboard,
        )
    },
    Route {
        fresh: true,
        ..change(
            "setRole",
            "/api/v1/principals/{id}/roles",
            "Give a role, or take it back.",
            Access::Deed(Deed::TendPeople),
            Some("RoleChange"),
            people::role,
        )
    },
    Route {
        query: &["all", "agent", "tool", "task", "workflow", "risk", "search", "after", "limit"],
        ..read(
            "approvals",
            "/api/v1/approvals",
            "Calls that wait for a person, those that end first first; with `all` those of every state, newest first.",
            SIGNED_IN,
            "Approvals",
            inbox::list,
        )
    },
    Route {
        query: &["hours"],
        ..read(
            "approvalMetrics",
            "/api/v1/approvals/metrics",
            "How much people are asked, and how they answer.",
            Access::Deed(inbox::METRICS),
            "ApprovalMetrics",
            inbox::metrics,
        )
    },
    Route {
        refusals: &[404],
        ..read(
            "approval",
            "/api/v1/approvals/{id}",
            "One waiting call: what would happen, and all that is signed.",
            SIGNED_IN,
            "Approval",
            approvals::show,
        )
    },
    Route {
        answer: (200, Some("Decided")),
        ..change(
            "decideApproval",
            "/api/v1/approvals/{id}/verdicts",
            "Approve or deny exactly this call, by a signature of one's own.",
            SIGNED_IN,
            Some("NewVerdict"),
            approvals::say,
        )
    },
    Route {
        answer: (200, Some("DecidedMany")),
        ..change(
            "decideApprovals",
            "/api/v1/approval-batches",
            "Approve several waiting calls by one signature over all of them, or none.",
            SIGNED_IN,
            Some("NewBatch"),
            standings::batch,
        )
    },
    Route {
        answer: (200, Some("StandingState")),
        ..change(
            "approveStanding",
            "/api/v1/approvals/{id}/standing-approvals",
            "Approve calls like this one for some time, by a signature of one's own over the terms.",
            SIGNED_IN,
            Some("NewStanding"),
            standings::approve,
        )
    },
    Route {
        query: &["all"],
        ..read(
            "standingApprovals",
            "/api/v1/standing-approvals",
            "Standing approvals, those that end first first; with `all` those of every state.",
            SIGNED_IN,
            "Standings",
            standings::list,
        )
    },
    Route {
        refusals: &[404],
        ..read(
            "standingApproval",
            "/api/v1/standing-approvals/{id}",
            "One standing approval: what was signed, by whom, and how often it was used.",
            SIGNED_IN,
            "Standing",
            standings::show,
        )
    },
    change(
        "revokeStanding",
        "/api/v1/standing-approvals/{id}/revoke",
        "Take a standing approval back, at once.",
        SIGNED_IN,
        Some("StandingRevocation"),
        standings::revoke,
    ),
    read(
        "approverKeys",
        "/api/v1/approver-keys",
        "One's own keys that sign verdicts.",
        SIGNED_IN,
        "ApproverKeys",
        approvals::keys,
    ),
    Route {
        fresh: true,
        ..create(
            "addApproverKey",
            "/api/v1/approver-keys",
            "Enrol a key of one's own that signs verdicts, after a while or when an owner vouches.",
            SIGNED_IN,
            Some("NewApproverKey"),
            "EnrolledKey",
            approvals::add_key,
        )
    },
    Route {
        fresh: true,
        ..change(
            "vouchCredential",
            "/api/v1/credentials/{id}/vouch",
            "Let somebody else's new passkey or approver key sign verdicts at once.",
            Access::Deed(Deed::TendPeople),
            None,
            approvals::vouch,
        )
    },
    Route {
        query: &["all"],
        ..read(
            "stops",
            "/api/v1/stops",
            "What is stopped now, newest first; with `all` also what was resumed.",
            SIGNED_IN,
            "Stops",
            stops::list,
        )
    },
    create(
        "stop",
        "/api/v1/stops",
        "Stop an agent, a task, a workflow or everything, at once.",
        SIGNED_IN,
        Some("NewStop"),
        "StopMade",
        stops::stop,
    ),
    Route {
        refusals: &[404],
        ..read(
            "stopShown",
            "/api/v1/stops/{id}",
            "One stop: why, by whom, and what is signed so that it ends.",
            SIGNED_IN,
            "Stop",
            stops::show,
        )
    },
    Route {
        answer: (200, Some("Resuming")),
        ..change(
            "resume",
            "/api/v1/stops/{id}/resumptions",
            "Sign, as an owner, that a stop ends; everything takes two different people.",
            Access::Deed(Deed::Resume),
            Some("NewResumption"),
            stops::resume,
        )
    },
    work::AUTONOMY,
    work::LOWER,
    work::RAISE,
    Route {
        query: &["all"],
        ..read(
            "requests",
            "/api/v1/requests",
            "What agents ask for that they lack, those that end first first; with `all` of every state.",
            SIGNED_IN,
            "Requests",
            requests::list,
        )
    },
    Route {
        refusals: &[404],
        ..read(
            "request",
            "/api/v1/requests/{id}",
            "One request: who asks for what, and why.",
            SIGNED_IN,
            "Request",
            requests::show,
        )
    },
    Route {
        answer: (200, Some("Prepared")),
        ..change(
            "prepareRequest",
            "/api/v1/requests/{id}/prepare",
            "Make the grant that answers a request, or a part of it, for one's own signature.",
            SIGNED_IN,
            Some("Lesser"),
            requests::prepare,
        )
    },
    Route {
        answer: (200, Some("GrantedRequest")),
        ..change(
            "grantRequest",
            "/api/v1/requests/{id}/grant",
            "Bring the grant that answers a request, signed with one's own registered key.",
            SIGNED_IN,
            Some("SignedAnswer"),
            requests::grant,
        )
    },
    change(
        "refuseRequest",
        "/api/v1/requests/{id}/refuse",
        "Refuse a request.",
        SIGNED_IN,
        Some("Refusing"),
        requests::refuse,
    ),
    work::RUNS,
    work::RUN,
    work::REVIEW,
    Route {
        query: &["task"],
        ..read(
            "handoffs",
            "/api/v1/handoffs",
            "Tasks that agents handed to each other, newest first; of one task in their order. Without a role, those of one's own tasks.",
            SIGNED_IN,
            "Handoffs",
            peers::list,
        )
    },
    Route {
        refusals: &[404],
        ..read(
            "handoff",
            "/api/v1/handoffs/{id}",
            "One handoff: who hands what to whom, with the grades of what is told.",
            SIGNED_IN,
            "Handoff",
            peers::show,
        )
    },
    read(
        "peers",
        "/api/v1/peers",
        "The agents of this trust domain as peers: their names, whom they met, whom they turned away.",
        Access::Deed(Deed::SeeActivity),
        "Peers",
        peers::peers,
    ),
    Route {
        query: &["agent", "task", "tool", "decision", "kind", "before", "limit"],
        ..read(
            "activity",
            "/api/v1/activity",
            "Entries of the ledger, newest first; without a role, those about oneself.",
            SIGNED_IN,
            "Activity",
            people::activity,
        )
    },
    work::CHECKS,
    work::CHECK,
    work::ROLLBACK_PLAN,
    work::ROLLBACK,
    work::REPORT,
    learning::METRICS,
    learning::COMPARE,
    learning::UNUSED,
    learning::FAILURES,
    learning::TRENDS,
    learning::FAILURE,
    learning::CLASSIFY,
    learning::RESOLVE,
    learning::CASE,
];
