"""The life of a child: every transition and every rule of the policy, then what holds for any sequence of events."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from capture.backoff import Backoff
from daemon.lifecycle import (
    Command,
    Life,
    Phase,
    Policy,
    Step,
    become_ready,
    die,
    load,
    owe,
    restart,
    retire,
    revive,
    settle,
    stop,
    tick,
)

POLICY = Policy(start_timeout_s=120, hang_s=30, stop_timeout_s=10, stable_s=600, max_restarts=5, restart_window_s=600)
NO_LIMIT = replace(POLICY, max_restarts=1000)

STARTING = Life(phase=Phase.STARTING, since_s=100.0, generation=1)
UP = Life(phase=Phase.UP, since_s=100.0, generation=1)
OWING = replace(UP, owed_since_s=200.0)
STOPPING = Life(phase=Phase.STOPPING, since_s=100.0, generation=1, last_order=Command.ASK_STOP)
GIVEN_UP = Life(phase=Phase.GIVEN_UP, since_s=100.0, generation=6)
STOPPED = Life(phase=Phase.STOPPED, since_s=100.0, generation=1)


ESCALATION = [Command.ASK_STOP, Command.TERMINATE, Command.KILL]


def fail(life: Life, now_s: float, policy: Policy = NO_LIMIT, chance: float = 0.0) -> Life:
    return die(life, now_s, policy, is_permanent=False, chance=chance)


def start(life: Life, now_s: float, policy: Policy = NO_LIMIT) -> Life:
    step = tick(life, now_s, policy, may_start=True)
    assert step.command is Command.SPAWN
    return step.life


@pytest.mark.parametrize(
    ("life", "now_s", "expected"),
    [
        (Life(), 0.0, Command.SPAWN),
        (Life(retry_at_s=5.0), 4.99, None),
        (Life(retry_at_s=5.0), 5.0, Command.SPAWN),
        (STARTING, 220.0, None),
        (STARTING, 220.1, Command.KILL),
        (replace(STARTING, is_condemned=True), 500.0, None),
        (UP, 10_000.0, None),
        (OWING, 230.0, None),
        (OWING, 230.1, Command.KILL),
        (replace(OWING, is_condemned=True), 500.0, None),
        (STOPPING, 105.0, None),
        (STOPPING, 105.1, Command.TERMINATE),
        (replace(STOPPING, last_order=Command.TERMINATE), 110.0, None),
        (replace(STOPPING, last_order=Command.TERMINATE), 110.1, Command.KILL),
        (STOPPING, 110.1, Command.KILL),
        (replace(STOPPING, last_order=Command.KILL), 500.0, None),
        (GIVEN_UP, 1e9, None),
        (STOPPED, 1e9, None),
    ],
)
def test_what_time_alone_does(life, now_s, expected):
    assert tick(life, now_s, POLICY, may_start=True).command is expected


def test_transition_waiting_to_starting():
    born = tick(replace(OWING, phase=Phase.WAITING, is_condemned=True), 7.0, POLICY, may_start=True).life
    assert born == Life(phase=Phase.STARTING, since_s=7.0, generation=2)


def test_transition_waiting_stays_where_others_start():
    assert tick(Life(), 1e9, POLICY, may_start=False) == Step(Life())


def test_transition_starting_to_up():
    assert become_ready(STARTING, 130.0) == replace(STARTING, phase=Phase.UP, since_s=130.0)


@pytest.mark.parametrize("life", [Life(), UP, STOPPING, GIVEN_UP, STOPPED])
def test_ready_counts_only_while_starting(life):
    assert become_ready(life, 500.0) == life


def test_each_step_of_a_start_has_the_whole_time_once():
    first = load(STARTING, "engine", 200.0)
    assert first == replace(STARTING, since_s=200.0, loaded=frozenset({"engine"}))
    assert load(first, "engine", 300.0) == first, "who repeats itself gains nothing"
    assert load(first, "warm_up", 300.0).since_s == 300.0


@pytest.mark.parametrize("life", [Life(), UP, STOPPING, GIVEN_UP, STOPPED])
def test_a_step_of_a_start_counts_only_while_starting(life):
    assert load(life, "engine", 500.0) == life


@pytest.mark.parametrize(("life", "phase"), [(STARTING, Phase.STARTING), (OWING, Phase.UP)])
def test_a_condemned_child_is_killed_once_and_keeps_its_phase_until_it_is_dead(life, phase):
    condemned = tick(life, 1000.0, POLICY, may_start=True).life
    assert (condemned.phase, condemned.is_condemned) == (phase, True)
    assert tick(condemned, 9000.0, POLICY, may_start=True).command is None
    assert fail(condemned, 9001.0).is_condemned  # the verdict asks for it


def test_transition_up_to_waiting_restarts_at_once():
    dead = fail(UP, 150.0, POLICY, chance=0.99)
    assert dead == replace(UP, phase=Phase.WAITING, since_s=150.0, failures=1, deaths_s=(150.0,), retry_at_s=150.0)
    assert tick(dead, 150.0, POLICY, may_start=True).command is Command.SPAWN


def test_transition_starting_to_waiting_counts_as_a_failure_too():
    assert fail(STARTING, 150.0).failures == 1


def test_delays_grow_to_a_limit():
    life, delays = Life(), []
    for i in range(10):
        now_s = i * 1000.0
        life = fail(start(life, now_s), now_s)
        delays.append(life.retry_at_s - now_s)
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(("chance", "delay_s"), [(0.0, 8.0), (0.5, 7.0), (1.0, 6.0)])
def test_jitter_shortens_a_delay_by_a_quarter_at_most(chance, delay_s):
    assert fail(replace(UP, failures=4), 150.0, chance=chance).retry_at_s == 150.0 + delay_s


def test_the_first_delay_and_the_limit_are_the_policys():
    policy = replace(NO_LIMIT, backoff=Backoff(first_s=0.5, limit_s=0.75, jitter_ratio=0))
    assert [fail(replace(UP, failures=n), 0.0, policy).retry_at_s for n in range(4)] == [0, 0.5, 0.75, 0.75]


@pytest.mark.parametrize(
    ("up_for_s", "failures", "delay_s"),
    [(0.0, 5, 8.0), (599.9, 5, 8.0), (600.0, 1, 0.0), (1e6, 1, 0.0)],
)
def test_failures_are_forgotten_after_stable_health_only(up_for_s, failures, delay_s):
    dead = fail(replace(UP, failures=4), UP.since_s + up_for_s)
    assert (dead.failures, dead.retry_at_s - dead.since_s) == (failures, delay_s)


def test_becoming_ready_forgets_nothing():
    life = become_ready(replace(STARTING, failures=4, deaths_s=(90.0, 95.0)), 101.0)
    assert (life.failures, life.deaths_s) == (4, (90.0, 95.0))


def test_a_long_start_is_not_health():
    assert fail(replace(STARTING, failures=4), 100.0 + 10_000).failures == 5


@pytest.mark.parametrize("max_restarts", [0, 1, 5])
def test_transition_to_given_up_after_so_many_restarts(max_restarts):
    policy = replace(POLICY, max_restarts=max_restarts)
    life, now_s = Life(), 0.0
    for _ in range(max_restarts):
        life = fail(start(life, now_s, policy), now_s, policy)
        assert life.phase is Phase.WAITING
        now_s = life.retry_at_s
    life = fail(start(life, now_s, policy), now_s, policy)
    assert (life.phase, life.generation) == (Phase.GIVEN_UP, max_restarts + 1)
    assert tick(life, 1e9, policy, may_start=True) == Step(life)


def test_only_deaths_within_the_window_count():
    deaths = (0.0, 1.0, 2.0, 3.0, 4.0)
    assert fail(replace(UP, deaths_s=deaths), 599.9, POLICY).phase is Phase.GIVEN_UP
    later = fail(replace(UP, deaths_s=deaths), 600.0, POLICY)
    assert (later.phase, later.deaths_s) == (Phase.WAITING, (1.0, 2.0, 3.0, 4.0, 600.0))


def test_stable_health_between_deaths_does_not_widen_the_window():
    policy = replace(POLICY, stable_s=10.0, max_restarts=2)
    life = replace(UP, deaths_s=(50.0, 100.0))
    assert fail(life, 150.0, policy).phase is Phase.GIVEN_UP


@pytest.mark.parametrize("life", [STARTING, UP, OWING])
def test_transition_to_given_up_of_a_permanent_cause(life):
    dead = die(life, 150.0, POLICY, is_permanent=True, chance=0.0)
    assert dead.phase is Phase.GIVEN_UP
    assert tick(dead, 1e9, POLICY, may_start=True).command is None


def test_hang_is_judged_only_while_work_is_owed():
    assert tick(UP, 1e9, POLICY, may_start=True).command is None
    owing = owe(UP, 1000.0)
    assert owe(owing, 1020.0) == owing, "the oldest debt counts"
    assert tick(owing, 1030.0, POLICY, may_start=True).command is None
    assert tick(owing, 1030.1, POLICY, may_start=True).command is Command.KILL
    settled = settle(owing)
    assert tick(settled, 1e9, POLICY, may_start=True).command is None
    assert tick(owe(settled, 1031.0), 1061.0, POLICY, may_start=True).command is None


@pytest.mark.parametrize("life", [Life(), STARTING, STOPPING, GIVEN_UP, STOPPED])
def test_nothing_is_owed_by_who_is_not_up(life):
    assert owe(life, 500.0) == life


@pytest.mark.parametrize("life", [OWING, replace(STOPPING, owed_since_s=90.0)])
def test_a_debt_ends_with_its_generation(life):
    assert fail(life, 210.0).owed_since_s is None


@pytest.mark.parametrize("life", [STARTING, UP, OWING])
def test_transition_to_stopping_asks(life):
    step = stop(life, 300.0)
    assert step.command is Command.ASK_STOP
    assert (step.life.phase, step.life.since_s) == (Phase.STOPPING, 300.0)


@pytest.mark.parametrize("life", [Life(), Life(retry_at_s=1e9), GIVEN_UP, STOPPED])
def test_transition_to_stopped_of_who_has_no_process(life):
    step = stop(life, 300.0)
    assert (step.life.phase, step.command) == (Phase.STOPPED, None)
    assert tick(step.life, 1e9, POLICY, may_start=True).command is None


def test_stop_is_asked_once():
    assert stop(STOPPING, 104.0) == Step(STOPPING)


def test_stop_escalates_each_order_once():
    life, orders = stop(UP, 0.0).life, []
    for tenth in range(300):
        step = tick(life, tenth / 10, POLICY, may_start=True)
        life = step.life
        if step.command:
            orders.append((tenth / 10, step.command))
    assert orders == [(5.1, Command.TERMINATE), (10.1, Command.KILL)]


@pytest.mark.parametrize("is_permanent", [False, True])
def test_transition_stopping_to_stopped(is_permanent):
    dead = die(STOPPING, 101.0, POLICY, is_permanent=is_permanent, chance=0.0)
    assert (dead.phase, dead.failures, dead.deaths_s) == (Phase.STOPPED, 0, ())


# --- what a person orders ---


def test_revival_begins_anew_with_all_failures_forgotten():
    tired = replace(GIVEN_UP, failures=6, deaths_s=(1.0, 2.0, 3.0), retry_at_s=1e9)
    revived = revive(tired, 500.0)
    assert revived == Life(Phase.WAITING, since_s=500.0, generation=6, retry_at_s=500.0)
    assert tick(revived, 500.0, POLICY, may_start=True).command is Command.SPAWN


@pytest.mark.parametrize("life", [Life(), Life(retry_at_s=1e9), STARTING, UP, OWING, STOPPING, STOPPED])
def test_only_who_was_given_up_is_revived(life):
    assert revive(life, 500.0) == life


def test_the_revived_has_the_whole_policy_before_it_again():
    policy = replace(POLICY, max_restarts=2)
    life, now_s = revive(replace(GIVEN_UP, failures=3, deaths_s=(490.0, 495.0, 499.0)), 500.0), 500.0
    phases = []
    for _ in range(3):
        life = fail(start(life, now_s, policy), now_s, policy)
        phases.append(life.phase)
        now_s = life.retry_at_s
    assert phases == [Phase.WAITING, Phase.WAITING, Phase.GIVEN_UP]


@pytest.mark.parametrize("life", [STARTING, UP, OWING])
def test_a_restart_of_who_lives_asks_it_to_stop_and_starts_it_again_without_a_failure(life):
    life = replace(life, failures=2, deaths_s=(50.0, 60.0), retry_at_s=70.0)
    step = restart(life, 300.0)
    assert (step.command, step.life.phase, step.life.is_returning) == (Command.ASK_STOP, Phase.STOPPING, True)
    ended = die(step.life, 301.0, POLICY, is_permanent=True, chance=0.5)
    assert (ended.phase, ended.retry_at_s, ended.owed_since_s) == (Phase.WAITING, 301.0, None)
    assert (ended.failures, ended.deaths_s) == (2, (50.0, 60.0))
    heir = start(ended, 301.0, POLICY)
    assert (heir.generation, heir.is_returning) == (2, False)


def test_a_restart_is_pressed_like_any_stop():
    life = restart(UP, 100.0).life
    assert tick(life, 105.1, POLICY, may_start=True).command is Command.TERMINATE


@pytest.mark.parametrize(("retry_at_s", "expected_s"), [(1e9, 300.0), (200.0, 200.0)])
def test_a_restart_of_who_waits_ends_the_wait(retry_at_s, expected_s):
    waiting = Life(retry_at_s=retry_at_s, failures=3, deaths_s=(1.0,))
    assert restart(waiting, 300.0) == Step(replace(waiting, retry_at_s=expected_s))


def test_a_restart_of_who_was_given_up_revives():
    assert restart(GIVEN_UP, 300.0) == Step(revive(GIVEN_UP, 300.0))


@pytest.mark.parametrize(
    "life", [STOPPING, STOPPED, replace(UP, is_condemned=True), replace(STOPPING, is_returning=True)]
)
def test_a_restart_changes_nothing_for_who_ends_anyway(life):
    assert restart(life, 300.0) == Step(life)


def test_who_is_retired_ends_in_order_and_is_given_up_without_a_failure():
    step = retire(UP, 50.0)
    assert step.command is Command.ASK_STOP
    assert step.life.phase is Phase.STOPPING
    ended = die(step.life, 51.0, POLICY, is_permanent=False, chance=0.0)
    assert (ended.phase, ended.failures, ended.deaths_s) == (Phase.GIVEN_UP, 0, ())
    assert restart(ended, 60.0).life.phase is Phase.WAITING, "a person may start it again"


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.GIVEN_UP, Phase.STOPPING, Phase.STOPPED])
def test_only_who_lives_is_retired(phase):
    life = replace(UP, phase=phase)
    assert retire(life, 50.0) == Step(life)


def test_a_stop_for_good_ends_a_retirement():
    retiring = retire(UP, 50.0).life
    stopping = stop(retiring, 51.0).life
    assert die(stopping, 52.0, POLICY, is_permanent=False, chance=0.0).phase is Phase.STOPPED


def test_a_stop_for_good_ends_a_restart():
    life = stop(restart(UP, 300.0).life, 301.0).life
    assert (life.phase, life.is_returning, life.since_s) == (Phase.STOPPING, False, 300.0)
    assert die(life, 302.0, POLICY, is_permanent=False, chance=0.0).phase is Phase.STOPPED


@given(
    failures=st.integers(0, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
    now_s=st.floats(0, 1e6),
)
def test_a_delay_is_never_over_the_limit(failures, chance, now_s):
    dead = fail(replace(UP, since_s=now_s, failures=failures), now_s, chance=chance)
    assert now_s <= dead.retry_at_s <= now_s + NO_LIMIT.backoff.limit_s


class AnyLife(RuleBasedStateMachine):
    """A child to whom anything happens, in any order; the process is a flag."""

    policy = Policy(start_timeout_s=20, hang_s=5, stop_timeout_s=4, stable_s=30, max_restarts=3, restart_window_s=60)

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.life = Life()
        self.is_alive = False
        self.deaths_s: list[float] = []
        self.had_permanent = False
        self.was_stopped = False
        self.orders: list[Command] = []
        """Given to this generation since it was last asked."""

    def take(self, step: Step) -> None:
        assert step.life.generation == self.life.generation + (step.command is Command.SPAWN)
        if step.command is Command.SPAWN:
            assert not self.is_alive
            assert not self.was_stopped
            assert self.life.phase is Phase.WAITING
            assert self.now_s >= self.life.retry_at_s
            self.is_alive, self.orders = True, []
        elif step.command is not None:
            assert self.is_alive, "an order to nobody"
            if step.command is Command.ASK_STOP:
                self.orders = []
            assert [*self.orders, step.command] == sorted({*self.orders, step.command}, key=ESCALATION.index)
            self.orders.append(step.command)
        self.life = step.life

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 3.0, 7.0, 31.0, 100.0]), may_start=st.booleans())
    def time_passes(self, seconds, may_start):
        self.now_s += seconds
        before = self.life
        self.take(tick(self.life, self.now_s, self.policy, may_start))
        again = tick(self.life, self.now_s, self.policy, may_start)
        assert again == Step(self.life), "each command is given once"
        if before.phase is Phase.UP and self.life.is_condemned and not before.is_condemned:
            assert before.owed_since_s is not None

    @precondition(lambda self: self.is_alive)
    @rule()
    def says_ready(self):
        self.life = become_ready(self.life, self.now_s)

    @rule()
    def work_comes(self):
        self.life = owe(self.life, self.now_s)

    @rule()
    def work_is_done(self):
        self.life = settle(self.life)

    @precondition(lambda self: self.is_alive)
    @rule(is_permanent=st.integers(0, 9).map(lambda n: n == 0), chance=st.floats(0, 1, exclude_max=True))
    def dies(self, is_permanent, chance):
        was, was_returning = self.life.phase, self.life.is_returning
        self.is_alive = False
        self.life = die(self.life, self.now_s, self.policy, is_permanent=is_permanent, chance=chance)
        if was is Phase.STOPPING:
            assert self.life.phase is (Phase.WAITING if was_returning else Phase.STOPPED)
            return
        self.deaths_s.append(self.now_s)
        self.had_permanent |= is_permanent
        recent = sum(self.now_s - at < self.policy.restart_window_s for at in self.deaths_s)
        assert (self.life.phase is Phase.GIVEN_UP) == (is_permanent or recent > self.policy.max_restarts)

    @precondition(lambda self: not self.was_stopped)
    @rule(often=st.integers(0, 9))
    def is_stopped(self, often):
        if often == 0:
            self.was_stopped = True
            self.take(stop(self.life, self.now_s))

    @rule(often=st.integers(0, 3))
    def is_ordered_to_restart(self, often):
        if often == 0:
            was = self.life.phase
            self.take(restart(self.life, self.now_s))
            if was is Phase.GIVEN_UP:
                self.deaths_s.clear()

    @invariant()
    def a_process_is_where_the_phase_says(self):
        assert self.is_alive == (self.life.phase in (Phase.STARTING, Phase.UP, Phase.STOPPING))

    @invariant()
    def stopped_is_final(self):
        assert not self.was_stopped or self.life.phase in (Phase.STOPPING, Phase.STOPPED)

    @invariant()
    def a_debt_is_only_of_who_is_up_or_stopping(self):
        assert self.life.owed_since_s is None or self.life.phase in (Phase.UP, Phase.STOPPING)


TestAnyLife = pytest.mark.slow(AnyLife.TestCase)
TestAnyLife.settings = settings(max_examples=300)
