//! Requests for more authority, asked of the authority in this process.

use bailiwick_authority::rules::requests::{self, RequestError, Wanted};
use bailiwick_authority::{Authority, Refusal};
use bailiwick_core::ids::Alias;
use bailiwick_gateway::ports::{Answered, Asker, Asking, RequestRefusal, Requests};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// The authority keeps them.
pub(crate) struct AuthorityRequests(pub(crate) Authority);

impl Requests for AuthorityRequests {
    fn ask<'a>(
        &'a self,
        asker: Asker,
        asking: Asking,
    ) -> BoxFuture<'a, Result<Answered, RequestRefusal>> {
        let authority = self.0.clone();
        async move {
            let asked = tokio::task::spawn_blocking(move || ask(&authority, asker, asking)).await;
            asked.unwrap_or(Err(RequestRefusal::Unavailable))
        }
        .boxed()
    }
}

fn ask(authority: &Authority, asker: Asker, asking: Asking) -> Result<Answered, RequestRefusal> {
    let Asker { principal, agent, instance, holder, task, grant, root, leaf } = asker;
    let principal = Alias::parse(&principal).map_err(|_| RequestRefusal::Unavailable)?;
    let asker = requests::Asker { principal, agent, instance, holder, task, grant, root, leaf };
    let answered = match asking {
        Asking::More { scope, reason, seconds } => {
            authority.request_authority(&asker, &Wanted { scope, reason, seconds })
        }
        Asking::Stands(id) => match authority.request_answer(&asker, &id) {
            Err(Refusal::Unknown { .. }) => return Err(RequestRefusal::Unknown),
            answered => answered,
        },
    };
    let answer = answered.map_err(|refusal| match refusal {
        Refusal::Request(RequestError::Flood) => RequestRefusal::Flood,
        Refusal::Store(_) | Refusal::ClockBehind | Refusal::NoEntropy | Refusal::NotInitialised => {
            tracing::error!(code = refusal.code(), "a request for more authority was not kept");
            RequestRefusal::Unavailable
        }
        refusal => RequestRefusal::Refused {
            code: refusal.code(),
            text: refusal.to_string(),
            remedy: refusal.remedy().into_owned(),
        },
    })?;
    let delegation = answer.taken.as_ref().map(bailiwick_authority::Taken::to_json);
    Ok(Answered { answer: answer.to_json(), delegation })
}
