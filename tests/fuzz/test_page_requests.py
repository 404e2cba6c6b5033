"""Whatever is asked of the page gets a sentence. `PAGE_REQUESTS=100000` sends so many requests."""

import os
from collections import Counter
from pathlib import Path

from jetstream.web.access import RIGHTS
from tests.fuzz.page_requests import PageClient, page_requests
from tests.support.page_process import LONGEST_TURN_S, page_process
from tests.support.pages import ask

REQUESTS = int(os.environ.get("PAGE_REQUESTS", 2500))
MOST_MB = 60
"""more than before: caches of pictures and prepared queries, and 64 MB of a login that were given back"""


def test_random_requests_never_fail_in_the_server(tmp_path: Path) -> None:
    with page_process(tmp_path) as page:
        cookies = [page.logged_in(right) for right in RIGHTS]
        before_mb, seen, client = page.memory_mb, Counter[int](), PageClient(page.port)
        page.longest_turn_s()
        for _, request in zip(range(REQUESTS), page_requests(20261129, cookies), strict=False):
            status = client.status(request)
            seen[status] += 1
            assert status < 500 or status == 503, f"{status}: {request}"
            assert status or request.route is None, f"no answer: {request}"

        print(f"{dict(seen)}; {page.memory_mb - before_mb:.0f} MB")
        assert seen[200] > REQUESTS / 20 < seen[400], "neither only good nor only bad ones"
        assert page.longest_turn_s() < LONGEST_TURN_S
        assert page.memory_mb - before_mb < MOST_MB
        assert "Traceback" not in page.errors
        assert ask(page.port, "GET", "/api/who").status == 200
