//! The whole life of a flag over gRPC, with the generated client.
