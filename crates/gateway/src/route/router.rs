//! Finds the row of the table for a path, without allocating.

use super::{Methods, Route, table};

/// What ticketing's paths begin with, and what they may begin with instead.
const VERSIONED: &str = "/api/v1/";
const UNVERSIONED: &str = "/api/";

/// The table, arranged by segments.
#[derive(Debug, Default)]
pub struct Router {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    exact: Vec<(&'static str, Node)>,
    any: Option<Box<Node>>,
    here: Option<Entry>,
    rest: Option<Entry>,
}

/// What a path can do: a route for each of its methods.
#[derive(Debug, Default)]
pub struct Entry {
    routes: Vec<&'static Route>,
    unversioned: bool,
    allow: String,
}

impl Entry {
    /// Returns the route of a method.
    pub fn route(&self, method: &str) -> Option<&'static Route> {
        let method = Methods::parse(method)?;
        self.routes.iter().copied().find(|route| route.methods.include(method))
    }

    /// Returns the methods that are answered, as the header `Allow` lists them.
    pub fn allow(&self) -> &str {
        &self.allow
    }

    /// Returns the path and query a service knows this target by.
    pub fn upstream_path<'p>(&self, path: &'p str) -> (&'static str, &'p str) {
        match path.strip_prefix(UNVERSIONED) {
            Some(rest) if self.unversioned => (VERSIONED, rest),
            _ => ("", path),
        }
    }

    fn add(&mut self, route: &'static Route, unversioned: bool) {
        self.routes.push(route);
        self.unversioned = unversioned;
        let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        let known: Vec<&str> = names.into_iter().filter(|name| self.route(name).is_some()).collect();
        self.allow = format!("{}, OPTIONS", known.join(", "));
    }
}

impl Router {
    /// Arranges the table.
    pub fn new() -> Self {
        let mut router = Self::default();
        for route in table() {
            router.root.insert(route.pattern, route, false);
            if route.service == domain::principal::Service::Ticketing
                && let Some(rest) = route.pattern.strip_prefix(VERSIONED)
            {
                router.root.descend_to(&["api"]).insert_segments(rest.split('/'), route, true);
            }
        }
        router
    }

    /// Finds what a checked path can do; a slash at the end of it changes nothing.
    pub fn find(&self, path: &str) -> Option<&Entry> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        self.root.find((!path.is_empty()).then_some(path))
    }
}

impl Node {
    fn insert(&mut self, pattern: &'static str, route: &'static Route, unversioned: bool) {
        self.insert_segments(pattern.split('/').filter(|segment| !segment.is_empty()), route, unversioned);
    }

    fn insert_segments(
        &mut self,
        segments: impl Iterator<Item = &'static str>,
        route: &'static Route,
        unversioned: bool,
    ) {
        let mut node = self;
        for segment in segments {
            if segment == "*" {
                return node.rest.get_or_insert_default().add(route, unversioned);
            }
            node = node.child(segment);
        }
        node.here.get_or_insert_default().add(route, unversioned);
    }

    fn descend_to(&mut self, segments: &[&'static str]) -> &mut Self {
        segments.iter().fold(self, |node, segment| node.child(segment))
    }

    fn child(&mut self, segment: &'static str) -> &mut Self {
        if segment.starts_with('{') {
            return self.any.get_or_insert_default();
        }
        let at = self.exact.iter().position(|(name, _)| *name == segment).unwrap_or_else(|| {
            self.exact.push((segment, Self::default()));
            self.exact.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position was found, or pushed, a line above")]
        &mut self.exact[at].1
    }

    /// Prefers a written-out segment to `{name}`, and that to a rest.
    fn find(&self, path: Option<&str>) -> Option<&Entry> {
        let Some(path) = path else { return self.here.as_ref() };
        // Segments are short: looking byte by byte is faster than preparing a search.
        let (segment, after) = match path.bytes().position(|byte| byte == b'/').map(|at| path.split_at(at)) {
            Some((segment, after)) => (segment, after.strip_prefix('/')),
            None => (path, None),
        };
        let exact = self.exact.iter().find(|(name, _)| *name == segment).and_then(|(_, node)| node.find(after));
        exact.or_else(|| self.any.as_ref().and_then(|node| node.find(after))).or(self.rest.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use domain::principal::Service;

    use super::*;
    use crate::route::{Access, Kind, Page};

    fn pattern(router: &Router, method: &str, path: &str) -> Option<&'static str> {
        router.find(path)?.route(method).map(|route| route.pattern)
    }

    #[test]
    fn a_written_out_segment_wins_and_another_one_is_a_name() {
        let router = Router::new();
        assert_eq!(pattern(&router, "GET", "/session/list"), Some("/session/list"));
        assert_eq!(pattern(&router, "GET", "/session/abc"), Some("/session/{id}"));
        assert_eq!(pattern(&router, "GET", "/api/v1/sessions/code/AB12"), Some("/api/v1/sessions/code/{code}"));
        assert_eq!(pattern(&router, "GET", "/api/v1/sessions/code/timer"), Some("/api/v1/sessions/code/{code}"));
        assert_eq!(pattern(&router, "PUT", "/api/v1/queue/admin/clear"), Some("/api/v1/queue/admin/{event_id}"));
    }

    #[test]
    fn a_slash_at_the_end_changes_nothing() {
        let router = Router::new();
        assert_eq!(pattern(&router, "POST", "/api/v1/sessions/"), Some("/api/v1/sessions"));
        assert_eq!(pattern(&router, "GET", "/"), Some("/"));
        assert_eq!(pattern(&router, "GET", "/docs/"), Some("/docs"));
        assert_eq!(pattern(&router, "GET", "/docs/a/b.css"), Some("/docs/*"));
    }

    #[test]
    fn ticketing_answers_without_its_version_and_nobody_else_does() {
        let router = Router::new();
        let entry = router.find("/api/events/42").unwrap();
        assert_eq!(entry.upstream_path("/api/events/42"), ("/api/v1/", "events/42"));
        let versioned = router.find("/api/v1/events/42").unwrap();
        assert_eq!(versioned.upstream_path("/api/v1/events/42"), ("", "/api/v1/events/42"));
        assert!(router.find("/api/sessions").is_none());
        assert_eq!(router.find("/api/auth/login").unwrap().upstream_path("/api/auth/login").0, "");
    }

    #[test]
    fn head_follows_get_and_other_methods_have_no_route() {
        let router = Router::new();
        let entry = router.find("/session/list").unwrap();
        assert!(entry.route("HEAD").is_some() && entry.route("POST").is_none() && entry.route("TRACE").is_none());
        assert_eq!(entry.allow(), "GET, HEAD, OPTIONS");
        assert_eq!(router.find("/memo/x").unwrap().allow(), "GET, HEAD, PUT, DELETE, OPTIONS");
    }

    #[test]
    fn nothing_inside_is_to_be_seen_from_outside() {
        let router = Router::new();
        for path in ["/internal/revocations", "/internal", "/metrics", "/livez", "/readyz", "/admin", "/docs2", "/api"]
        {
            assert!(router.find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_row_is_found_by_its_own_pattern() {
        let router = Router::new();
        for route in table() {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                if route.methods.include(Methods::parse(method).unwrap()) {
                    assert_eq!(pattern(&router, method, route.pattern), Some(route.pattern), "{method}");
                }
            }
            let is_page = matches!(route.kind, Kind::Page(_));
            assert_eq!(is_page, route.service == Service::Gateway, "{}", route.pattern);
        }
        let health = router.find("/health").unwrap().route("GET").unwrap();
        assert_eq!((health.kind, health.access), (Kind::Page(Page::Health), Access::Public));
    }
}
