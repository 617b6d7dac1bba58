//! Messages about calls that go on as tasks, and the end of those that can be
//! followed no more.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::mcp_methods::{Era, TASKS, declares_tasks};
use futures_util::future::join_all;
use http::StatusCode;
use tokio::sync::oneshot;

use super::{Distrust, Own, Task};
use crate::delivery::{Delivery, Reply, Running};
use crate::feeds::{About, Feed};
use crate::gateway::Gateway;
use crate::headers::name_of;
use crate::messages::{Visit, outgoing};
use crate::pins::own_meta;
use crate::questions::{Asking, Asks, Wants, wants};
use crate::relay::{Events, Route};
use crate::stages::Stopped;
use crate::stages::boundary::MessageRequest;
use crate::stages::effect::with_decision;
use crate::stages::evidence::{self, Finished};
use crate::stand::Stand;
use crate::upstream::{Failure, Outgoing, Received};
use crate::{rpc, wire};

fn failure_of(distrust: Distrust, bytes: usize) -> Failure {
    match distrust {
        Distrust::Garbage => Failure::Garbage { bytes },
        Distrust::Asks => Failure::Asks { bytes },
    }
}

/// An answer about a task asks for nothing, and is none that goes on.
fn nothing_wanted(answer: &Object) -> Result<(), Distrust> {
    match wants(answer, std::iter::empty()) {
        Wants::Nothing => Ok(()),
        Wants::Answers | Wants::Detachment => Err(Distrust::Asks),
    }
}

/// Without sessions every message says that its client follows tasks.
fn declared(request: &MessageRequest) -> Result<(), Denial> {
    let declares = || request.params.as_ref().is_some_and(declares_tasks);
    match request.era == Era::Sessions || declares() {
        true => Ok(()),
        false => Err(Denial::new(Reason::TaskNotDeclared).about("clientCapabilities")),
    }
}

impl Gateway {
    /// The task that a message is about: the caller's own, while what it was
    /// started under stands.
    pub(crate) fn followed(
        &self,
        own: Option<&Own>,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<Arc<Task>, Denial> {
        let found = own.zip(id).and_then(|(own, id)| self.tasks.find(own, id, now));
        let task = found.ok_or_else(|| Denial::new(Reason::TaskUnknown).about("taskId"))?;
        // The caller may have gone on under another grant.
        match self.stand(&task.recheck, now) {
            Stand::Stands => Ok(task),
            Stand::Ended(ended) => Err(ended.denial()),
            Stand::Unknown => Err(Denial::new(Reason::RevocationStale)),
        }
    }

    /// Whether the tasks that a subscription names are the caller's own.
    pub(crate) fn may_watch(
        &self,
        request: &MessageRequest,
        visit: &Visit,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let asked = request
            .params
            .as_ref()
            .and_then(|p| p.member("notifications")?.as_object()?.member("taskIds"));
        let Some(asked) = asked else { return Ok(()) };
        declared(request)?;
        let unknown = || Denial::new(Reason::TaskUnknown).about("taskIds");
        let own = Own::of(&visit.caller, &visit.server.name);
        for id in asked.as_array().ok_or_else(unknown)? {
            self.followed(own.as_ref(), id.as_str(), now)?;
        }
        Ok(())
    }

    /// Handles a message about tasks.
    pub(crate) async fn about_task(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: Visit,
        now: Timestamp,
    ) -> Result<Response, Stopped> {
        if visit.task_seconds().is_none() {
            let denial = Denial::new(Reason::TaskNotListed).about(request.method.name);
            return Err(Stopped::known(denial, visit.caller.present));
        }
        if let Err(denial) = declared(request) {
            return Err(Stopped::known(denial, visit.caller.present));
        }
        let own = Own::of(&visit.caller, &visit.server.name);
        if request.method.name == "tasks/list" {
            return Ok(self.list_tasks(request, id, &visit, own.as_ref(), now).await);
        }
        let named = request.params.as_ref().and_then(|p| p.member("taskId")?.as_str());
        let task = match self.followed(own.as_ref(), named, now) {
            Ok(task) => task,
            Err(denial) => return Err(Stopped::known(denial, visit.caller.present)),
        };
        if request.method.name == "tasks/result" {
            return self.task_result(request, visit, task).await;
        }
        Ok(self.ask_of(request, id, &visit, &task).await)
    }

    async fn list_tasks(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: &Visit,
        own: Option<&Own>,
        now: Timestamp,
    ) -> Response {
        let received = match self.ask(request, id, visit, request.params.as_ref()).await {
            Ok(received) => received,
            Err(failure) => return self.failed(request, visit, failure),
        };
        if let Err(distrust) = nothing_wanted(&received.message) {
            return self.failed(request, visit, failure_of(distrust, received.bytes));
        }
        let mut message = received.message;
        if let Some(Json::Object(mut result)) = message.remove("result") {
            let listed = match result.remove("tasks") {
                Some(Json::Array(items)) => items,
                _ => Vec::new(),
            };
            let shown = |item: Json| -> Option<Json> {
                let Json::Object(mut item) = item else { return None };
                let named = item.member("taskId").and_then(Json::as_str);
                let task = self.followed(own, named, now).ok()?;
                self.see(&task, &mut item, 0).ok()?;
                Some(item.into())
            };
            result.insert("tasks", listed.into_iter().filter_map(shown).collect::<Vec<_>>());
            message.insert("result", result);
        }
        wire::answered(&message.into(), request.era, received.streamed && request.accepts_events)
    }

    /// `tasks/get`, `tasks/update` and `tasks/cancel`.
    async fn ask_of(
        &self,
        request: &MessageRequest,
        id: &Json,
        visit: &Visit,
        task: &Arc<Task>,
    ) -> Response {
        let mut params = request.params.clone().unwrap_or_default();
        let answers = match request.method.name {
            "tasks/update" => task.narrow(&mut params),
            _ => Vec::new(),
        };
        let received = match self.ask(request, id, visit, Some(&params)).await {
            Ok(received) => received,
            Err(failure) => return self.failed(request, visit, failure),
        };
        let Received { mut message, bytes, streamed, .. } = received;
        if let Some(Json::Object(mut result)) = message.remove("result") {
            task.add(answers);
            // An acknowledgement (2026-07-28) says nothing of the task.
            let detailed = request.method.name == "tasks/get" || result.member("taskId").is_some();
            let seen = match detailed {
                true => self.see(task, &mut result, bytes),
                false => nothing_wanted(&Object::new().with("result", result.clone())),
            };
            if let Err(distrust) = seen {
                return self.failed(request, visit, failure_of(distrust, bytes));
            }
            message.insert("result", result);
        } else if let Err(distrust) = nothing_wanted(&message) {
            return self.failed(request, visit, failure_of(distrust, bytes));
        }
        wire::answered(&message.into(), request.era, streamed && request.accepts_events)
    }

    /// Takes what a tool server says of a task, for its caller.
    pub(crate) fn see(
        &self,
        task: &Arc<Task>,
        said: &mut Object,
        bytes: usize,
    ) -> Result<(), Distrust> {
        let finished = task.saw(said, bytes, self.ports.host.now())?;
        task.limit_ttl(said);
        if let Some(Json::Object(mut result)) = said.member("result").cloned() {
            with_decision(&mut result, &task.decided, task.action_digest);
            said.insert("result", result);
        }
        self.conclude(task, finished);
        Ok(())
    }

    /// Records the outcome of a task's call, if this is where it is known.
    fn conclude(&self, task: &Arc<Task>, finished: Option<Finished>) {
        let Some(finished) = finished else { return };
        let event = evidence::completed(self, &task.subjects, &task.decided, &finished);
        let gateway = self.clone();
        self.tracker.spawn(async move { gateway.complete(event).await });
    }

    /// `tasks/result`: waits as a call does, and ends with what it waits for.
    async fn task_result(
        &self,
        request: &MessageRequest,
        visit: Visit,
        task: Arc<Task>,
    ) -> Result<Response, Stopped> {
        let busy =
            |visit: Visit| Stopped::known(Denial::new(Reason::TooManyCalls), visit.caller.present);
        let Some(slot) = self.call_slot() else { return Err(busy(visit)) };
        let Some(place) = self.busy.enter(task.own.owner.key) else { return Err(busy(visit)) };
        let (running, feed, done) = Running::begin(&self.room);
        let (gateway, request) = (self.clone(), request.clone());
        self.tracker.spawn(async move {
            gateway.wait_for(request, visit, task, feed, done).await;
            drop((slot, place));
        });
        Ok(running.response().await)
    }

    async fn wait_for(
        &self,
        request: MessageRequest,
        visit: Visit,
        task: Arc<Task>,
        feed: Arc<Feed>,
        done: oneshot::Sender<Reply>,
    ) {
        let id = request.id.clone().unwrap_or(Json::Null);
        let session = visit.caller.session.clone();
        let to = request.accepts_events.then(|| Arc::clone(&feed));
        if let (Some(session), Some(to)) = (&session, &to) {
            let about = About::Call(Box::new(task.recheck.clone()));
            session.feeds.keep(self.ports.host.as_ref(), to, about);
        }
        let listed = visit.workflow.catalogue.questions(&visit.server.name);
        let asking = session.clone().zip(to.clone()).and_then(|(s, to)| Asking::of(s, listed, to));
        let mut events = Events::to(Route {
            gateway: self.clone(),
            server: Arc::clone(&visit.server),
            era: request.era,
            session: session.as_ref().and_then(|session| session.upstream.clone()),
            scope: None,
            own: Some(task.own.clone()),
            asks: asking.clone().map_or(Asks::Nobody, Asks::Call),
            to,
        });
        let (decision, done) = (task.decided.clone(), Some(done));
        let mut delivery = Delivery { id: id.clone(), decision, feed: Arc::clone(&feed), done };
        let left = task.ends.millis_since(self.ports.host.now());
        let limit = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        let sent = outgoing(&request, &visit, request.params.as_ref());
        let work = self.upstream.exchange(sent, &id, limit, &mut events);
        let came = self.watched(work, &task.recheck, |ended| delivery.withhold(ended)).await;
        task.add(asking.map(|asking| asking.end()).unwrap_or_default());
        let screened = came.and_then(|received| match nothing_wanted(&received.message) {
            Ok(()) => Ok(received),
            Err(_) => Err(Failure::Asks { bytes: received.bytes }),
        });
        match screened {
            Ok(Received { mut message, bytes, streamed, .. }) => {
                let finished = task.ended(&message, bytes, self.ports.host.now());
                if let Some(Json::Object(mut result)) = message.remove("result") {
                    with_decision(&mut result, &task.decided, task.action_digest);
                    message.insert("result", result);
                }
                let streamed = streamed && request.accepts_events;
                delivery.answer(rpc::text(&message.into()), StatusCode::OK, streamed);
                self.conclude(&task, finished);
            }
            Err(failure) => {
                let (code, reason, remedy) = failure.words();
                let decision = Some(task.decided.as_str());
                let error = wire::upstream_error(Some(&id), code, reason, remedy, decision);
                let ended = failure == Failure::SessionEnded;
                let status = if ended { StatusCode::NOT_FOUND } else { StatusCode::OK };
                delivery.answer(rpc::text(&error), status, false);
                if let Some(session) = session.as_ref().filter(|_| ended) {
                    self.sessions.end(session);
                }
            }
        }
        if let Some(session) = session.filter(|_| !feed.has_begun()) {
            session.feeds.forget(&feed);
        }
    }

    /// Lets tasks go that can be followed no more: their time, session or
    /// authority ended.
    pub(crate) fn lapse_tasks(&self, now: Timestamp) {
        let gone = |task: &Task| {
            task.is_over(now) || matches!(self.stand(&task.recheck, now), Stand::Ended(_))
        };
        let gone = self.tasks.take_over(gone);
        if !gone.is_empty() {
            let gateway = self.clone();
            self.tracker.spawn(async move { gateway.lapse(gone).await });
        }
    }

    /// The same of all, when the gateway stops.
    pub(crate) async fn lapse_all(&self) {
        self.lapse(self.tasks.take_over(|_| true)).await;
    }

    /// SECURITY: work does not outlive the authority that it was started under.
    /// Whether the tool server stops nobody knows, and the outcome says so.
    pub(crate) async fn lapse(&self, tasks: Vec<Arc<Task>>) {
        join_all(tasks.into_iter().map(async |task| {
            let (finished, at_work) = task.lapsed(self.ports.host.now());
            if at_work {
                self.cancel(&task).await;
            }
            self.conclude(&task, finished);
        }))
        .await;
    }

    async fn cancel(&self, task: &Task) {
        let owner = &task.own.owner;
        let Ok(Some(server)) = self.ports.catalogue.server(&owner.server) else { return };
        let whose = &task.recheck.authority.principal;
        let Ok(server) = self.broker.equip(server, whose).await else { return };
        let id = Json::from("bailiwick-cancel");
        let mut params = Object::new().with("taskId", task.id.as_str());
        if task.era == Era::Stateless {
            let can = Object::new().with(TASKS, Object::new());
            params.insert("_meta", own_meta(Object::new().with("extensions", can)));
        }
        let body = rpc::compose(Some(&id), "tasks/cancel", Some(&params));
        let outgoing = Outgoing {
            server: &server,
            era: task.era,
            method: Some("tasks/cancel"),
            name: name_of("tasks/cancel", Some(&params)),
            params: Vec::new(),
            session: task.own.session.as_ref().and_then(|session| session.upstream.as_deref()),
            body: rpc::text(&body),
        };
        let limit = self.config.message_timeout;
        if self.upstream.exchange(outgoing, &id, limit, &mut Events::none()).await.is_err() {
            tracing::warn!(server = %owner.server, decision_id = %task.decided, "a task may go on");
        }
    }
}
