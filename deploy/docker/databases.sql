-- One database per service, in one server by default.
CREATE DATABASE maru_auth;
CREATE DATABASE maru_session;
CREATE DATABASE maru_ticketing;
CREATE DATABASE maru_emotion;
CREATE DATABASE maru_memo;
