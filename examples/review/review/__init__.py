"""The steps of the review workflow: plan, three reviewers, verifier, editor, publisher.

Every step is a plain function of JSON values, so it can be called and tested without an engine.
"""
