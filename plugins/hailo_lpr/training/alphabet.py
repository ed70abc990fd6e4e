"""What the nets can say: the classes of the reader (digits, Latin letters, Thai consonants) and of
the province classifier. Class 0 of both is nothing: the CTC blank, and "no province".

The order is part of the models: a change needs a new training.
"""
DIGITS = "0123456789"
LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# All consonants of the script but the two obsolete ones.
THAI = "กขคฆงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"

CHARACTERS = DIGITS + LATIN + THAI
BLANK = 0
CLASSES = len(CHARACTERS) + 1
CLASS_OF = {character: index + 1 for index, character in enumerate(CHARACTERS)}

# As they stand on plates: 76 provinces, Bangkok, and Betong, which has plates of its own.
PROVINCES = (
    "กรุงเทพมหานคร กระบี่ กาญจนบุรี กาฬสินธุ์ กำแพงเพชร ขอนแก่น จันทบุรี ฉะเชิงเทรา ชลบุรี ชัยนาท "
    "ชัยภูมิ ชุมพร เชียงราย เชียงใหม่ ตรัง ตราด ตาก นครนายก นครปฐม นครพนม นครราชสีมา "
    "นครศรีธรรมราช นครสวรรค์ นนทบุรี นราธิวาส น่าน บึงกาฬ บุรีรัมย์ ปทุมธานี ประจวบคีรีขันธ์ ปราจีนบุรี "
    "ปัตตานี พระนครศรีอยุธยา พะเยา พังงา พัทลุง พิจิตร พิษณุโลก เพชรบุรี เพชรบูรณ์ แพร่ ภูเก็ต "
    "มหาสารคาม มุกดาหาร แม่ฮ่องสอน ยโสธร ยะลา ร้อยเอ็ด ระนอง ระยอง ราชบุรี ลพบุรี ลำปาง ลำพูน เลย "
    "ศรีสะเกษ สกลนคร สงขลา สตูล สมุทรปราการ สมุทรสงคราม สมุทรสาคร สระแก้ว สระบุรี สิงห์บุรี "
    "สุโขทัย สุพรรณบุรี สุราษฎร์ธานี สุรินทร์ หนองคาย หนองบัวลำภู อ่างทอง อำนาจเจริญ อุดรธานี "
    "อุตรดิตถ์ อุทัยธานี อุบลราชธานี เบตง").split()
PROVINCE_CLASSES = len(PROVINCES) + 1


def encode(text):
    """The classes of a reading, without blanks."""
    return [CLASS_OF[character] for character in text]


def decode(classes):
    """The text of a list of classes as the net gives them: repeats joined, blanks left out."""
    text = []
    before = BLANK
    for index in classes:
        if index not in (BLANK, before):
            text.append(CHARACTERS[index - 1])
        before = index
    return "".join(text)


def fold(text):
    """Makes equal what many plates draw alike: O and 0, I and 1."""
    return text.replace("O", "0").replace("I", "1")
