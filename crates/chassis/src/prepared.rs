//! Statements that each connection prepares once, although diesel would prepare them anew each time.
//!
//! diesel keeps what its query builder makes of a `SELECT`, and prepares the text of `sql_query` and every `UPDATE` again
//! at each call, since their text might be put together from anything: another round trip, another parse, another plan.
//! Where the text is always the same, [`prepared`](Prepare::prepared) says so. An `INSERT` has another text whenever a
//! value is `None`, which diesel takes for the column's default, and is prepared anew each time for that reason:
//! `treat_none_as_default_value = false` on what is inserted has it kept.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
};

/// A statement that connections keep prepared, under its text and the types of its values.
#[derive(Clone, Copy, Debug)]
#[must_use = "a statement runs when it is loaded or executed"]
pub struct Prepared<Q>(Q);

/// Lets a statement be kept.
pub trait Prepare: Sized {
    /// Promises that there are few texts of this statement, whatever its values: each one is kept for as long as the
    /// connection lives.
    fn prepared(self) -> Prepared<Self> {
        Prepared(self)
    }
}

impl<Q: QueryFragment<Pg>> Prepare for Q {}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q> QueryId for Prepared<Q> {
    type QueryId = ();

    // Its text tells it from others.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Prepared<Q> {
    type SqlType = Q::SqlType;
}
