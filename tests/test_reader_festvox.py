"""Festvox's layout, with lines as the CMU ARCTIC voices have them."""

import pytest
from sources import clips, faults, refusal, write

LIST = (
    '( arctic_a0001 "Author of the danger trail, Philip Steels, etc." )\n'
    '( arctic_a0002 "Not at this \\"particular\\" case, Tom." )\n'
    '(arctic_a0003 "For the twentieth time.")\n'
    '( arctic_a0004 "Gone." )\n'
)


def test_a_voice(tmp_path):
    write(tmp_path, {"etc/txt.done.data": LIST, **{f"wav/arctic_a000{i}.wav": "" for i in (1, 2, 3)}})
    assert clips("festvox", tmp_path) == [
        ("s-arctic_a0001", "Author of the danger trail, Philip Steels, etc.", "someone", "wav/arctic_a0001.wav"),
        ("s-arctic_a0002", 'Not at this "particular" case, Tom.', "someone", "wav/arctic_a0002.wav"),
        ("s-arctic_a0003", "For the twentieth time.", "someone", "wav/arctic_a0003.wav"),
    ]
    assert faults("festvox", tmp_path) == {"s-arctic_a0004": f"missing recording: {tmp_path}/wav/arctic_a0004.wav"}


BAD = {
    "no list": ({}, 'etc/txt.done.data is missing; create it with lines ( id "text" )'),
    "another form": (
        {"etc/txt.done.data": "a|One.\n"},
        'etc/txt.done.data, line 1 has another form; write it as ( id "',
    ),
    "no quotation marks": ({"etc/txt.done.data": "( a One. )\n"}, "line 1 has another form"),
    "an empty list": ({"etc/txt.done.data": ""}, "holds no clip; add recordings"),
    "a folder in the id": (
        {"etc/txt.done.data": '( ../a "One." )\n'},
        "line 1 has the id '../a'; use a plain file name",
    ),
    "an id twice": ({"etc/txt.done.data": '( a "1." )\n( a "2." )\n'}, "line 2 repeats the id 'a' of line 1"),
    "HTML": ({"etc/txt.done.data": "<html>\n"}, "line 1 has another form; write it as"),
    "a NUL": ({"etc/txt.done.data": '( a "O\0ne." )\n'}, "txt.done.data has NUL bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_list_is_one_sentence(tmp_path, name):
    files, wanted = BAD[name]
    assert wanted in refusal("festvox", write(tmp_path, files))
