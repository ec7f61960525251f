//! Every route, in one table: path, methods, who may pass the door. What a role may do behind it is in `identity.rs`.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, post};

use crate::app::Shared;
use crate::http::problem::Problem;
use crate::http::{admit, authenticate, backup, events, integrity, keys, operations, receipts, sources, sql, tokens, tree};

/// Who stands at the door.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// A server: a token is asked for, wherever a route is not open.
    Token,
    /// This process over its own folder: the machine's own administrator asks.
    Machine,
}

/// One path.
pub struct Route {
    /// As axum writes it.
    pub path: &'static str,
    /// Its methods in lower case, as openapi.json names them; the test that compares the two reads them.
    #[cfg_attr(not(test), expect(dead_code))]
    pub methods: &'static [&'static str],
    /// Whether it needs no token: what it tells is public and holds no health information.
    pub open: bool,
    handler: MethodRouter<Shared>,
}

fn open(path: &'static str, handler: MethodRouter<Shared>) -> Route {
    Route { path, methods: &["get"], open: true, handler }
}

fn closed(path: &'static str, methods: &'static [&'static str], handler: MethodRouter<Shared>) -> Route {
    Route { path, methods, open: false, handler }
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
        closed("/v1/events", &["get", "post"], get(events::search).post(events::ingest)),
        closed("/v1/events/{id}", &["get"], get(events::show)),
        closed("/v1/events/{id}/proof", &["get"], get(receipts::proof)),
        closed("/v1/sql", &["post"], post(sql::ask)),
        closed("/v1/integrity", &["get"], get(integrity::report)),
        closed("/v1/sources", &["get", "post"], get(sources::list).post(sources::expect)),
        closed("/v1/tokens", &["get", "post"], get(tokens::list).post(tokens::create)),
        closed("/v1/tokens/{id}", &["delete"], axum::routing::delete(tokens::revoke)),
        closed("/v1/keys", &["get"], get(keys::list)),
        closed("/v1/keys/rotate-root", &["post"], post(keys::rotate_root)),
        closed("/v1/keys/shred", &["post"], post(keys::shred)),
        closed("/v1/keys/export", &["get"], get(keys::export)),
        closed("/v1/backups", &["post"], post(backup::create)),
    ]
}

/// The whole interface over `app`.
pub fn router(app: &Shared, door: Door) -> Router {
    let (mut public, mut guarded) = (Router::new(), Router::new());
    for route in routes() {
        if route.open {
            public = public.route(route.path, route.handler);
        } else {
            guarded = guarded.route(route.path, route.handler);
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
