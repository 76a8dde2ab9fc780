"""What is made without checks is what the checked class makes of the same values."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chfw_sr.messages import DeletePilotPreferences, RequestID, ServiceRequest, unchecked
from tests import strategies

HUB = "00-DB-12-34-56-78-90-A0"


@given(st.one_of(strategies.requests(), strategies.alerts(), strategies.responses()))
def test_it_equals_what_the_class_makes(message):
    made = unchecked(type(message))(**dict(message))
    assert made == message
    assert hash(made) == hash(message)
    assert repr(made) == repr(message)
    assert pickle.loads(pickle.dumps(made)) == message
    assert made.model_copy() == message


def test_defaults_hold():
    request_id = RequestID.parse(f"{HUB}:{HUB}:1")
    body = DeletePilotPreferences(campaign_id="C1")
    made = unchecked(ServiceRequest)(body=body, request_id=request_id)
    assert made == ServiceRequest(body=body, request_id=request_id)
    assert made.command_variant == 8


def test_it_is_frozen_too():
    made = unchecked(DeletePilotPreferences)(campaign_id="C1")
    with pytest.raises(ValueError, match="frozen"):
        made.campaign_id = "C2"
