//! The verdict for a person to read.

use std::fmt::Write as _;

use bailiwick_core::approval::Grade;
use bailiwick_core::grant::SignedBy;
use bailiwick_core::ids::PrincipalId;

use crate::verdict::{Accountability, ApprovalOf, Enforcement, Proven, Recomputed, Right, Verdict};

/// Text from the bundle, safe to print: control and invisible characters are
/// escaped, so that a purpose cannot forge a line of the report.
fn shown(text: &str) -> String {
    text.escape_debug().to_string().replace("\\'", "'")
}

struct Page(String);

impl Page {
    fn line(&mut self, name: &str, text: &str) {
        let _ = writeln!(self.0, "  {name:<12}{text}");
    }

    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }
}

impl Verdict {
    /// The verdict as lines of text.
    #[must_use]
    pub fn report(&self) -> String {
        let mut page = Page(String::new());
        match &self.result {
            Ok(proven) => proven.write(&mut page),
            Err(failure) => {
                page.heading("EVIDENCE DOES NOT HOLD");
                page.line("check", failure.check.id());
                page.line("must hold", failure.check.sentence());
                page.line("found", &shown(&failure.found));
                page.line("remedy", failure.check.remedy());
            }
        }
        let names: Vec<&str> = self.passed.iter().map(|c| c.id()).collect();
        page.line(
            "checked",
            &if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
        );
        page.line("trust", &self.trust);
        page.0
    }
}

impl Proven {
    fn write(&self, page: &mut Page) {
        page.heading(&format!("EVIDENCE HOLDS for action {}", self.action));
        if let Some(authority) = &self.authority {
            authority.write(page);
        }
        let d = &self.decision;
        let reason = d.reason.as_ref().map(|r| format!(": {}", shown(r))).unwrap_or_default();
        page.line(
            "decision",
            &format!("{}{reason}, at {}, {}", shown(&d.decision), d.at, d.recomputed.as_str()),
        );
        page.line("", &format!("entry {} by {}", d.entry, shown(&d.maker)));
        if let Some(policy) = &d.policy {
            let asked = match d.recomputed {
                Recomputed::WithPolicy => "asked again",
                Recomputed::Agrees | Recomputed::RecordedOnly => "not asked again",
            };
            page.line("policy", &format!("{policy}, {asked}"));
        }
        match &self.outcome {
            Some(o) => {
                page.line("outcome", &format!("{}, at {}, entry {}", o.outcome, o.at, o.entry));
            }
            None => page.line("outcome", "none in this bundle"),
        }
        let log = &self.log;
        let witnesses = if log.witnesses.is_empty() {
            String::new()
        } else {
            format!(" by {}", log.witnesses.iter().map(|w| shown(w)).collect::<Vec<_>>().join(", "))
        };
        let kept = if log.kept { ", equal to a kept checkpoint" } else { "" };
        page.line(
            "log",
            &format!(
                "{}, {} entries, {}{witnesses}{kept}",
                shown(&log.origin),
                log.size,
                log.state()
            ),
        );
        for assumption in self.assumptions() {
            page.line("assumes", assumption);
        }
        for gap in self.not_proved() {
            page.line("not proved", gap);
        }
    }
}

impl Accountability {
    fn write(&self, page: &mut Page) {
        let by = match self.signed_by {
            SignedBy::Key => "by its own signature",
            SignedBy::Passkey => "by its own signature with a passkey",
            SignedBy::IdToken => "by its own login for this grant",
            SignedBy::Service => "by its own signed request",
            SignedBy::Attested => "ATTESTED by an administrator, not signed by the principal",
        };
        page.line(
            "principal",
            &format!("{} of {}, {by}", self.principal, shown(&self.principal_issuer)),
        );
        page.line("", &format!("alias {}, grant {}", shown(&self.principal_alias), self.grant));
        page.line("signed", self.signed_by.as_str());
        for (i, hop) in self.hops.iter().enumerate() {
            let owner = hop.owner.as_ref().map_or("nobody", PrincipalId::as_str);
            let isolation =
                hop.isolation.stated().map(|i| format!(", isolation {i}")).unwrap_or_default();
            page.line(
                if i == 0 { "agent" } else { "  to agent" },
                &format!(
                    "{}, instance {}, owner {owner}, guarantee {}{isolation}",
                    hop.agent, hop.instance, hop.guarantee
                ),
            );
            if let Some(domain) = hop.agent.trust_domain() {
                page.line("", &format!("of trust domain {}", shown(domain)));
            }
            if let Some(handoff) = &hop.handoff {
                page.line(
                    "",
                    &format!("took the task over by handoff {handoff}, which both signed"),
                );
            }
        }
        page.line("task", &format!("{} under workflow {}", self.task, self.workflow));
        page.line("purpose", &format!("\"{}\"", shown(&self.purpose)));
        let scope: Vec<String> = self.scope.iter().map(|s| shown(s)).collect();
        page.line("scope", &scope.join(", "));
        page.line(
            "window",
            &format!(
                "{} to {}, this delegation until {}",
                self.not_before, self.not_after, self.expires
            ),
        );
        page.line("tool", &shown(&self.tool));
        page.line("arguments", &format!("sha-256 {}", self.arguments_digest));
        page.line("digest", &format!("{} (action)", self.action_digest));
        for approver in self.approval.iter().flat_map(|a| &a.approvers) {
            let with = match approver.grade {
                Grade::Passkey => "a passkey",
                Grade::Key => "an approver key",
            };
            let why = match approver.right {
                Right::Named => "named by the workflow",
                Right::Role => "by the role approver",
                Right::Group => "said to be in a group that the workflow names",
                Right::Unknown => "on the gateway's word that they might",
            };
            let line = format!("{} with {with}, {why}, at {}", approver.id, approver.at);
            page.line("approved by", &line);
        }
        match self.approval.as_ref().map(|approval| (&approval.of, approval.needed)) {
            Some((ApprovalOf::Standing(terms), _)) => page.line(
                "the same again",
                &format!(
                    "standing approval {}, {} calls until {}",
                    terms.id, terms.count, terms.until
                ),
            ),
            Some((ApprovalOf::Action(_), Some(needed))) => {
                page.line("needed", &format!("{needed} to approve, by the workflow's rules"));
            }
            Some((ApprovalOf::Action(_), None)) | None => {}
        }
        page.line("proved", &format!("assurance {}, guarantee {}", self.assurance, self.guarantee));
        if self.enforcement == Enforcement::External {
            page.line("enforced", "by another enforcement point, which asked for this decision");
        }
        page.line("staleness", &format!("revocations known as of {} ms before", self.staleness_ms));
    }
}
