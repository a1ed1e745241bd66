"""Bytes to and from the service: sockets, WebSocket framing, HTTP. Each foreign library is imported by one room here.

Internals of foreign libraries that the code relies on, beyond what their documentation promises. A new major version
may move them, so setup.cfg excludes it, and tests/transport/test_insides.py fails when one of them has moved.

websocket-client
    ``frame_buffer(recv_fn, skip_utf8_validation)``: ``needs_header``, ``recv_frame``, ``header`` (seven values) and
    ``length`` are used; ``recv_strict`` and ``recv_length`` are overridden. Every byte of a frame passes through
    ``recv_strict``, and after an exception from it the next ``recv_frame`` goes on in the same frame.
    ``ABNF.create_frame(data, opcode).format()``, ``ABNF.OPCODES``, and ``fin``, ``opcode``, ``data`` of a frame.
    ``WebSocket.connect(..., socket=...)``: of the socket only ``send``, ``recv``, ``gettimeout`` and ``close`` are
    called (by its modules ``_handshake`` and ``_socket``), and the head of the request is sent in one piece.
requests
    Overridden in ``Session``: ``merge_environment_settings``, ``get_redirect_target``, ``rebuild_proxies``,
    ``rebuild_auth``; used: ``should_strip_auth``. Overridden in ``HTTPAdapter``: ``init_poolmanager``,
    ``proxy_manager_for``, ``build_connection_pool_key_attributes``, ``cert_verify``; used: ``poolmanager``,
    ``proxy_manager``. ``RequestsCookieJar.extract_cookies`` is overridden. ``utils.get_environ_proxies`` is used.
urllib3
    ``QueueCls`` of a connection pool: made with ``maxsize`` and used by ``put``, ``get`` and ``qsize`` alone.
    ``PoolManager.pool_classes_by_scheme`` and ``pools`` (``keys``, ``get``).
    Of a response: ``_fp.fp.raw._sock`` (the socket below http.client's file), ``_connection``, ``release_conn`` (called
    at the end of the body), ``chunked``, ``length_remaining``, ``read1``. ``SSLTransport.socket``, below TLS in TLS.
    ``contrib.socks``: its two pools may be derived from, and stand in ``pool_classes_by_scheme`` of its manager.
Python
    ``RLock._is_owned``. ``RLock.acquire`` and ``__exit__`` are C functions, and so is ``SSLObject._sslobj.write``.
    ``socket.socket.__new__`` opens no descriptor, and ``socket.SocketType.close`` takes such a socket too.
"""
