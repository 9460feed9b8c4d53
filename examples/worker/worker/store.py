"""Jobs in Redis. A job is in one of three places, and moves from one to the next in one step:

waiting        a list, oldest job last
taken:WORKER   a list for each worker: the job in hand
results        a hash: the job's id and what came of it

A worker that dies leaves its job in its list; `rescue` puts it back once the worker's sign of life has run out.
A job may therefore be done twice, and has one result.
"""

import json
import os

import redis

Unreachable = (redis.ConnectionError, redis.TimeoutError)
SIGN_OF_LIFE = 15  # seconds that a worker may be silent


def secret(name):
    """What a secret holds, without the line's end."""
    with open(f"/run/secrets/{name}", encoding="utf-8") as file:
        return file.read().strip()


class Store:
    """The queue's server, with the words of a worker."""

    def __init__(self):
        self.redis = redis.Redis(
            os.environ.get("QUEUE_HOST", "queue"),
            password=secret("queue_password"),
            decode_responses=True,
            socket_connect_timeout=3,
        )

    def put(self, count):
        """Puts `count` new jobs in; their ids."""
        last = self.redis.incrby("last_id", count)
        ids = range(last - count + 1, last + 1)
        self.redis.lpush("waiting", *ids)
        return ids

    def take(self, worker):
        """The job in hand, where the answer that told of it was lost; else the oldest one; None after a second."""
        own = f"taken:{worker}"
        return self.redis.lindex(own, -1) or self.redis.blmove("waiting", own, 1, "RIGHT", "LEFT")

    def finish(self, worker, job, result):
        """Keeps the result and forgets the job, both or none."""
        with self.redis.pipeline(transaction=True) as both:
            both.hset("results", job, json.dumps(result))
            both.lrem(f"taken:{worker}", 0, job)
            both.execute()

    def alive(self, worker):
        """Tells the others that this worker lives."""
        self.redis.set(f"alive:{worker}", 1, ex=SIGN_OF_LIFE)

    def rescue(self):
        """Puts jobs of workers that died back; how many."""
        count = 0
        for taken in self.redis.scan_iter("taken:*"):
            if not self.redis.exists(taken.replace("taken", "alive", 1)):
                while self.redis.lmove(taken, "waiting", "LEFT", "RIGHT"):
                    count += 1
        return count

    def results(self):
        """Every result, by id."""
        found = self.redis.hgetall("results")
        return {int(job): json.loads(result) for job, result in found.items()}

    def waiting(self):
        """How many jobs nobody has taken yet."""
        return self.redis.llen("waiting")
