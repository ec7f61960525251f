//! Every route, in one table: path, methods, who may pass the door, what each method needs. What a role may is in `identity.rs`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, delete, get, post};

use crate::app::Shared;
use crate::http::problem::Problem;
use crate::http::{admit, authenticate, backup, events, integrity, keys, operations, permit, receipts, sources, sql, tokens, tree, users};
use crate::identity::Permission::{self, Administer, CreateToken, Ingest, Operate};

/// Who stands at the door.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A server: a token is asked for, wherever a route is not open.
    Token,
    /// This process over its own folder: the machine's own administrator asks.
    Machine,
}

/// One method of a path.
#[derive(Clone, Copy)]
pub struct Act {
    /// In lower case, as openapi.json names it.
    pub method: &'static str,
    /// What it is called in the trail where it is refused or fails.
    pub action: &'static str,
    /// What it needs. None: nothing (open paths), or the right to read, which the handler asks for so that the record holds the question.
    pub needs: Option<Permission>,
}

const fn act(method: &'static str, action: &'static str, needs: Permission) -> Act {
    Act { method, action, needs: Some(needs) }
}

const fn read(method: &'static str, action: &'static str) -> Act {
    Act { method, action, needs: None }
}

/// One path.
pub struct Route {
    /// As axum writes it.
    pub path: &'static str,
    /// Its methods.
    pub acts: &'static [Act],
    /// Whether it needs no token: what it tells is public and holds no health information.
    pub open: bool,
    handler: MethodRouter<Shared>,
}

fn open(path: &'static str, handler: MethodRouter<Shared>) -> Route {
    Route { path, acts: const { &[read("get", "")] }, open: true, handler }
}

fn closed(path: &'static str, acts: &'static [Act], handler: MethodRouter<Shared>) -> Route {
    Route { path, acts, open: false, handler }
}

/// All of them.
pub fn routes() -> Vec<Route> {
    vec![
        open("/", get(operations::page)),
        open("/livez", get(operations::livez)),
        open("/readyz", get(operations::readyz)),
        open("/metrics", get(operations::metrics)),
        open("/version", get(operations::version)),
        open("/openapi.json", get(operations::openapi)),
        open("/schema/recall.event.1.json", get(operations::schema)),
        open("/checkpoint", get(tree::checkpoint)),
        open("/tile/{*path}", get(tree::tile)),
        open("/v1/keys/public", get(keys::public)),
        closed(
            "/v1/events",
            const { &[read("get", "recall.search"), act("post", "recall.ingest", Ingest)] },
            get(events::search).post(events::ingest),
        ),
        closed("/v1/events/{id}", const { &[read("get", "recall.view")] }, get(events::show)),
        closed("/v1/events/{id}/proof", const { &[read("get", "recall.proof")] }, get(receipts::proof)),
        closed("/v1/sql", const { &[read("post", "recall.sql")] }, post(sql::ask)),
        closed("/v1/integrity", const { &[act("get", "recall.integrity.read", Operate)] }, get(integrity::report)),
        closed(
            "/v1/sources",
            const { &[act("get", "recall.source.list", Operate), act("post", "recall.source.expect", Administer)] },
            get(sources::list).post(sources::expect),
        ),
        closed(
            "/v1/tokens",
            const { &[act("get", "recall.token.list", Administer), act("post", "recall.token.create", CreateToken)] },
            get(tokens::list).post(tokens::create),
        ),
        closed("/v1/tokens/{id}", const { &[act("delete", "recall.token.revoke", Administer)] }, delete(tokens::revoke)),
        closed(
            "/v1/users",
            const { &[act("get", "recall.user.list", Administer), act("post", "recall.user.create", Administer)] },
            get(users::list).post(users::create),
        ),
        closed("/v1/users/{gateway}/{name}", const { &[act("delete", "recall.user.remove", Administer)] }, delete(users::remove)),
        closed(
            "/v1/users/{gateway}/{name}/secrets/{id}",
            const { &[act("delete", "recall.user.secret.revoke", Administer)] },
            delete(users::revoke),
        ),
        closed("/v1/keys", const { &[act("get", "recall.key.list", Operate)] }, get(keys::list)),
        closed("/v1/keys/rotate-root", const { &[act("post", "recall.key.rotate", Administer)] }, post(keys::rotate_root)),
        closed("/v1/keys/shred", const { &[act("post", "recall.erasure", Administer)] }, post(keys::shred)),
        closed("/v1/keys/export", const { &[act("get", "recall.key.export", Administer)] }, get(keys::export)),
        closed("/v1/backups", const { &[act("post", "recall.backup", Administer)] }, post(backup::create)),
    ]
}

/// The whole interface over `app`.
pub fn router(app: &Shared, door: Door) -> Router {
    let (mut public, mut guarded) = (Router::new(), Router::new());
    for route in routes() {
        if route.open {
            public = public.route(route.path, route.handler);
        } else {
            let permits = permit::Permits { app: app.clone(), acts: route.acts };
            guarded = guarded.route(route.path, route.handler.route_layer(from_fn_with_state(permits, permit::permit)));
        }
    }
    let guarded = match door {
        Door::Token => guarded.route_layer(from_fn_with_state(app.clone(), authenticate::by_token)),
        Door::Machine => guarded.route_layer(from_fn(authenticate::as_machine)),
    };
    public
        .merge(guarded)
        .fallback(async || Problem::not_found("there is nothing at this path; see /openapi.json"))
        .method_not_allowed_fallback(async || {
            Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "this path does not know the method; see /openapi.json")
        })
        // Each handler bounds its own body, and ingest does so while it reads.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), admit::admit))
        .with_state(app.clone())
}

#[cfg(test)]
mod tests;
