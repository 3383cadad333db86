//! The codec of the generated services: that of tonic, which decodes large
//! messages without holding up the other tasks of its worker.

use std::marker::PhantomData;

use prost::Message;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};
use tonic::{
    Status,
    codec::{self, BufferSettings, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::limits::MAX_INLINE_BYTES;

/// Encodes `T` and decodes `U`.
#[derive(Clone, Debug)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = OffWorker<ProstDecoder<U>>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        OffWorker(ProstCodec::<T, U>::raw_decoder(BufferSettings::default()))
    }
}

/// Decodes as the inner decoder does. Before it decodes a large message it hands the other tasks
/// of its worker to another thread.
#[derive(Clone, Debug)]
pub struct OffWorker<D>(D);

impl<D: Decoder<Error = Status>> Decoder for OffWorker<D> {
    type Item = D::Item;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        use bytes::Buf;
        match source.remaining() > MAX_INLINE_BYTES && has_workers() {
            true => block_in_place(|| self.0.decode(source)),
            false => self.0.decode(source),
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        self.0.buffer_settings()
    }
}

fn has_workers() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}
