//! The demo events.

use chassis::config::Environment;
use serde_json::Value;
use ticketing::{
    app::App,
    command::{self, Command},
};

use crate::house::{House, config, reserve};

fn app(house: &House, environment: Environment) -> App {
    let mut config = config(&house.stage);
    config.base.common.environment = environment;
    App::new(config, house.stage.clock.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_twice_makes_the_demo_events_once_and_keeps_what_was_sold() {
    let house = House::open().await;
    command::run(app(&house, Environment::Development), Command::Seed).await.unwrap();
    let nobody = house.app.anonymous();
    let list = nobody.get("/api/v1/events?status=on_sale").await.assert_status(200).json;
    assert_eq!(list["pagination"]["total"], 3);
    let seated = list["events"].as_array().unwrap().iter().find(|e| e["min_price"] == 33_000).unwrap();
    let event = crate::house::id(&seated["id"]);
    let path = format!("/api/v1/seats/events/{event}");
    let hall = nobody.get(&path).await.assert_status(200).json;
    assert_eq!(hall["layout"]["sections"].as_array().unwrap().len(), 2);
    let seats: Vec<&Value> = hall["seats"].as_array().unwrap().iter().collect();
    assert_eq!(seats.len(), 100);
    reserve(&house.app.as_user(), event, &[crate::house::id(&seats[0]["id"])]).await.assert_status(201);

    house.sql("UPDATE events SET sale_end_date = now() - interval '1 minute' WHERE title = '새벽 낭독회'").await;
    command::run(app(&house, Environment::Development), Command::Seed).await.unwrap();
    assert_eq!(nobody.get("/api/v1/events?status=on_sale").await.json["pagination"]["total"], 3);
    let again = nobody.get(&path).await.assert_status(200).json;
    assert_eq!(again["seats"].as_array().unwrap().len(), 100);
    assert_eq!(again["seats"][0]["status"], "locked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_seeded_outside_development() {
    let house = House::open().await;
    assert!(command::run(app(&house, Environment::Production), Command::Seed).await.is_err());
    assert_eq!(house.number("SELECT count(*) AS number FROM events").await, 0);
}
