/// Declares a protocol of services that get messages. Protocols differ in what their [`Answer`](super::Answer) makes of
/// responses.
macro_rules! protocol_of_messages {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<I = One, A = Own, C = HttpStatus> {
            pub(crate) incoming: I,
            pub(crate) measure: A,
            pub(crate) classifier: C,
            pub(crate) is_client: bool,
        }

        impl Default for $name {
            /// Measures messages by [`Own`] and classifies errors by [`HttpStatus`]. Use a builder for others.
            fn default() -> Self {
                Self {
                    incoming: One::default(),
                    measure: Own,
                    classifier: HttpStatus,
                    is_client: false,
                }
            }
        }

        impl<Req, I, A, C> Protocol<Req> for $name<I, A, C>
        where
            Req: 'static,
            I: Incoming<Req>,
            A: Clone,
            C: Clone,
        {
            type Request = I::Request;

            #[inline]
            fn message<'a>(&self, request: &'a Req) -> Option<&'a dyn Any> {
                Some(request)
            }

            #[inline]
            fn open(&mut self, call: &mut Call, request: Req) -> I::Request {
                self.incoming.open(call, request, self.is_client)
            }
        }
    };
}

pub(super) use protocol_of_messages;
