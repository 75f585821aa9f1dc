//! The upstream before which the gateway and nginx are measured: as little work as an answer can be.

use std::net::Ipv4Addr;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::header::ContentType, web};

use crate::trouble::Trouble;

/// Where the measured request goes: public at the gateway, and routed to the ticketing service.
pub(crate) const EVENTS: &str = "/api/v1/events";

/// Where a request needs a signed-in person: shows whether the gateway takes the token.
pub(crate) const ME: &str = "/user/me";

/// Where a WebSocket opens that says something once and then only listens.
pub(crate) const WATCH: &str = "/watch";

/// A body as a short list of events is: about 430 bytes.
pub(crate) const BODY: &str = r#"[{"id":"5b0c8f3e-3b5e-4a53-9a0e-0c6f8a0f7a11","title":"Maru Open Stage: Spring","venue":"Seoul, Grand Hall","starts_at":"2030-05-04T10:00:00.000Z","sales_open_at":"2030-04-01T00:00:00.000Z","status":"on_sale","price":45000,"currency":"KRW","capacity":1200,"available":874,"organizer":{"id":"0c9b6f53-51f4-4a0c-8a53-2a1c1b7c9d22","name":"Maru"},"created_at":"2030-01-01T00:00:00.000Z","updated_at":"2030-02-01T00:00:00.000Z"}]"#;

/// Serves until the process is told to end.
pub(crate) async fn serve(port: u16) -> Result<(), Trouble> {
    let server = HttpServer::new(|| {
        App::new()
            .route(EVENTS, web::get().to(answer))
            .route(ME, web::get().to(answer))
            .route(WATCH, web::get().to(watch))
            // Whoever asks whether a service behind the gateway is well hears that it is.
            .default_service(web::get().to(answer))
    })
    .workers(2)
    .disable_signals()
    .bind((Ipv4Addr::LOCALHOST, port))?;
    Ok(server.run().await?)
}

async fn answer() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(BODY)
}

async fn watch(req: HttpRequest, payload: web::Payload) -> Result<HttpResponse, actix_web::Error> {
    let (response, mut session, mut frames) = actix_ws::handle(&req, payload)?;
    actix_web::rt::spawn(async move {
        if session.text(BODY).await.is_ok() {
            while let Some(Ok(_)) = frames.recv().await {}
        }
    });
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_of_the_stated_size() {
        assert!((420..=440).contains(&BODY.len()), "{}", BODY.len());
        assert!(serde_json::from_str::<serde_json::Value>(BODY).is_ok());
    }
}
