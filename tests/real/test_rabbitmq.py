"""The bus on a real RabbitMQ."""

import amqp
import pytest
from kombu import Connection


def test_the_broker_of_the_tests_has_no_guest_and_lets_each_test_into_its_own_virtual_host_only(
    rabbitmq, amqp_url, amqp_urls
):
    with Connection(amqp_url) as connection:
        connection.ensure_connection(timeout=10, max_retries=1)
    guest = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/"
    stranger = amqp_url.rpartition("/")[0] + "/" + amqp_urls().rpartition("/")[2]
    for url in (guest, stranger):
        with Connection(url) as connection, pytest.raises((amqp.AccessRefused, amqp.NotAllowed)):
            connection.connect()
