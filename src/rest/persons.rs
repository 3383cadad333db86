//! Persons over REST (architecture 2).

use super::{
    call::{Call, Reply},
    pages, representation,
};
use crate::{
    model::{error::Result, person::PersonFilter},
    service::Services,
};

pub(super) async fn list(services: Services, call: Call) -> Result<Reply> {
    let parameter = |name| call.param(name).map(str::to_owned);
    let filter = PersonFilter::parse(parameter("distinct_id"), parameter("search"))?;
    let wanted = pages::wanted(&call);
    let page = services.list_persons(&*call.caller()?, &call.project()?, &filter, wanted).await?;
    pages::listing(&call, page, representation::person).await
}

pub(super) async fn get(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    let person = services.get_person(&caller, &call.project()?, call.part("uuid")).await?;
    Reply::ok(representation::person(&person))
}

pub(super) async fn delete(services: Services, call: Call) -> Result<Reply> {
    let caller = call.caller()?;
    services.delete_person(&caller, &call.project()?, call.part("uuid")).await?;
    Reply::no_content()
}
