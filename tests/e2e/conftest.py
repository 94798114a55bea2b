# SPDX-License-Identifier: Apache-2.0
from conftest_shared import *  # noqa: F401,F403 - the fixtures, which tests/crash uses too
