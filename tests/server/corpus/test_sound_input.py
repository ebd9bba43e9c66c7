"""The guards are not so tight that honest input is refused: odd words come back as they were."""

import json


def test_what_is_sound_is_still_taken(target):
    words = [
        "\u202e",
        "e\u0301",
        "\u00e9",
        "\U0001f4a3" * 12,
        "' or 1=1 --",
        "-0",
        "${{ 1 }}",
        "\t\n",
    ]
    for word in words:
        run = target.start(
            {
                "name": "sound",
                "inputs": {"word": {"type": "string"}},
                "tasks": [
                    {
                        "name": "say",
                        "uses": "python:allowed_tasks:echo",
                        "with": {"word": "${{ inputs.word }}"},
                    }
                ],
            },
            "completed",
            input={"word": word},
        )
        assert json.loads(target.http.get(f"/v1/runs/{run}").content)["output"] == word
