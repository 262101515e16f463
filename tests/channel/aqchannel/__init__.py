# SPDX-License-Identifier: Apache-2.0
"""A real conda channel from interpreters and wheels; run it as a module."""
